package smelt.verify.stats;

/// The mean of a quantity over tokens, and how sure it is when whole sequences are drawn. With `y`
/// the sum and `n` the number of tokens of each of `G` sequences, the mean is the ratio `r = sum y
/// / sum n`, and
///
/// | figure | formula |
/// |---|---|
/// | `standardError` | `sqrt(G / (G - 1) sum (y - r n)^2) / sum n`; NaN for one sequence |
/// | `designEffect` | `standardError^2 / (deviation^2 / tokens)`; 1 where nothing varies |
///
/// @param deviation standard deviation of the tokens about the mean
public record ClusteredMean(
    double mean,
    double standardError,
    double deviation,
    double designEffect,
    int tokens,
    int sequences) {

  /// @param values one for each token, at least one
  public static ClusteredMean of(Sequences sequences, double[] values) {
    int tokens = sequences.tokens();
    int units = sequences.count();
    double[] sums = sequences.sums(values);
    double total = 0;
    for (double sum : sums) {
      total += sum;
    }
    double mean = total / tokens;
    double between = 0;
    for (int s = 0; s < units; s++) {
      double residual = sums[s] - mean * sequences.length(s);
      between += residual * residual;
    }
    double error = units < 2 ? Double.NaN : StrictMath.sqrt(between * units / (units - 1)) / tokens;
    double within = 0;
    for (double value : values) {
      within += (value - mean) * (value - mean);
    }
    double variance = tokens < 2 ? 0 : within / (tokens - 1);
    double effect = variance > 0 && units > 1 ? error * error * tokens / variance : 1;
    return new ClusteredMean(mean, error, StrictMath.sqrt(variance), effect, tokens, units);
  }

  /// The number of independent tokens that these are worth, at most as many as they are.
  ///
  /// @param floor a design effect known from elsewhere; the larger of both counts
  double worth(double floor) {
    return Math.max(1, tokens / Math.max(1, Math.max(floor, designEffect)));
  }
}
