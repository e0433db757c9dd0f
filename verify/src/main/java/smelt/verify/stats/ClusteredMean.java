package smelt.verify.stats;

/// The mean of a quantity over tokens, and how sure it is when whole sequences are drawn. With `y`
/// the sum and `n` the number of tokens of each of `G` sequences, the mean is the ratio `r = sum y
/// / sum n`, and
///
/// | figure | formula |
/// |---|---|
/// | `standardError` | that of [RatioOfSums] |
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
    RatioOfSums mean = RatioOfSums.of(sequences.sums(values), sequences.lengths());
    double within = 0;
    for (double value : values) {
      within += (value - mean.ratio()) * (value - mean.ratio());
    }
    return of(mean, within, sequences.tokens());
  }

  /// @param within sum of the squares of all tokens' distances from the mean
  static ClusteredMean of(RatioOfSums mean, double within, int tokens) {
    double error = mean.standardError();
    double variance = tokens < 2 ? 0 : within / (tokens - 1);
    double effect = variance > 0 && mean.clusters() > 1 ? error * error * tokens / variance : 1;
    return new ClusteredMean(
        mean.ratio(), error, StrictMath.sqrt(variance), effect, tokens, mean.clusters());
  }

  /// The number of independent tokens that these are worth, at most as many as they are.
  ///
  /// @param floor a design effect known from elsewhere; the larger of both counts
  double worth(double floor) {
    return Math.max(1, tokens / Math.max(1, Math.max(floor, designEffect)));
  }
}
