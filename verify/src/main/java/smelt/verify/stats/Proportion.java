package smelt.verify.stats;

/// Limits of a proportion from so many hits in so many trials, by Clopper and Pearson: exact for
/// independent trials, and never less sure than they say. Neither number need be whole, so that a
/// sample of dependent trials can stand as the smaller number of independent ones it is worth.
public final class Proportion {

  private Proportion() {}

  /// The one-sided upper limit; 1 where every trial hit.
  ///
  /// @param confidence such as 0.95
  public static double upper(double hits, double trials, double confidence) {
    check(hits, trials);
    return hits >= trials ? 1 : Beta.quantile(confidence, hits + 1, trials - hits);
  }

  /// The one-sided lower limit; 0 where none hit.
  ///
  /// @param confidence such as 0.95
  public static double lower(double hits, double trials, double confidence) {
    check(hits, trials);
    return hits <= 0 ? 0 : Beta.quantile(1 - confidence, hits, trials - hits + 1);
  }

  /// Probability of at most so many hits in so many trials.
  static double atMost(double hits, double trials, double probability) {
    return hits >= trials ? 1 : 1 - Beta.regularized(probability, hits + 1, trials - hits);
  }

  private static void check(double hits, double trials) {
    if (!(hits >= 0 && hits <= trials && trials > 0)) {
      throw new IllegalArgumentException(hits + " hits of " + trials + " trials");
    }
  }
}
