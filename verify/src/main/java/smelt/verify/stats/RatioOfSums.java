package smelt.verify.stats;

/// The ratio of two sums over clusters, and how sure it is when whole clusters are drawn. With `y`
/// and `x` the parts of each of `G` clusters in numerator and denominator, `r = sum y / sum x`, and
/// `standardError = sqrt(G / (G - 1) sum (y - r x)^2) / sum x`, NaN for one cluster.
record RatioOfSums(double ratio, double standardError, int clusters) {

  /// @param numerators one for each cluster
  /// @param denominators likewise
  static RatioOfSums of(double[] numerators, double[] denominators) {
    int units = numerators.length;
    double total = 0;
    double size = 0;
    for (int i = 0; i < units; i++) {
      total += numerators[i];
      size += denominators[i];
    }
    double ratio = total / size;
    double between = 0;
    for (int i = 0; i < units; i++) {
      double residual = numerators[i] - ratio * denominators[i];
      between += residual * residual;
    }
    double error = units < 2 ? Double.NaN : StrictMath.sqrt(between * units / (units - 1)) / size;
    return new RatioOfSums(ratio, error, units);
  }
}
