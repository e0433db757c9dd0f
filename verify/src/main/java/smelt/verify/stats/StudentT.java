package smelt.verify.stats;

/// Quantiles of Student's t distribution.
final class StudentT {

  private StudentT() {}

  /// The value that `t` stays below with the given probability.
  ///
  /// @param probability above 0.5, below 1
  /// @param degrees degrees of freedom, at least 1
  static double quantile(double probability, double degrees) {
    double x = Beta.quantile(2 * (1 - probability), degrees / 2, 0.5);
    return StrictMath.sqrt(degrees * (1 - x) / x);
  }
}
