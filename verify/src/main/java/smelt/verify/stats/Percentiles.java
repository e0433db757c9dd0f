package smelt.verify.stats;

/// Percentiles of a set of values: the smallest value that at least so many percent of them do not
/// exceed. NaN counts as the largest.
public final class Percentiles {

  private final double[] sorted;

  /// @param values at least one; copied
  public Percentiles(double[] values) {
    if (values.length == 0) {
      throw new IllegalArgumentException("no values");
    }
    sorted = values.clone();
    java.util.Arrays.sort(sorted);
  }

  /// @param percent above 0, at most 100
  public double at(double percent) {
    double rank = percent * sorted.length / 100;
    // 99.9 has no exact double: a rank that is whole up to rounding is that whole number.
    int index = (int) Math.ceil(rank - 1e-9 * Math.max(1, rank)) - 1;
    return sorted[Math.clamp(index, 0, sorted.length - 1)];
  }

  public double min() {
    return sorted[0];
  }

  public double max() {
    return sorted[sorted.length - 1];
  }

  /// The largest value but `above`, in order of size.
  double fromTop(int above) {
    return sorted[sorted.length - 1 - above];
  }
}
