package smelt.calibrate.observe;

import java.util.Arrays;
import java.util.stream.IntStream;

/// How many numbers of a site had which magnitude.
///
/// Bins are fixed: bin `b` holds the magnitudes whose F32 bits begin (without sign) with `b`, so
/// from `lower(b)` to below `lower(b + 1)`. That is eight bins of equal width between one power of
/// two and the next; bin 0 holds zero.
public final class Histogram {

  /// Number of bins; the last 8 would be infinite.
  public static final int BINS = 2048;

  private static final int SHIFT = 20;
  private static final int INFINITE = Float.floatToRawIntBits(Float.POSITIVE_INFINITY) >>> SHIFT;

  private final long[] counts;

  /// @param counts of each bin; copied
  public Histogram(long[] counts) {
    if (counts.length != BINS || Arrays.stream(counts).anyMatch(count -> count < 0)) {
      throw new IllegalArgumentException(counts.length + " bins, or one below 0");
    }
    this.counts = counts.clone();
  }

  /// The bin of a number.
  static int bin(float value) {
    return (Float.floatToRawIntBits(value) & Integer.MAX_VALUE) >>> SHIFT;
  }

  /// The least magnitude of a bin.
  public static float lower(int bin) {
    return Float.intBitsToFloat(bin << SHIFT);
  }

  public long count(int bin) {
    return counts[bin];
  }

  /// The bins that hold a number, ascending.
  int[] bins() {
    return IntStream.range(0, BINS).filter(bin -> counts[bin] > 0).toArray();
  }

  public long total() {
    return Arrays.stream(counts).sum();
  }

  /// The least bound between bins such that at least `share` of the numbers are below it; 0 when
  /// there are none.
  ///
  /// @param share from 0 to 1
  public float below(double share) {
    if (!(share >= 0 && share <= 1)) {
      throw new IllegalArgumentException("a share of " + share);
    }
    double wanted = share * total();
    long sum = 0;
    for (int bin = 0; bin < INFINITE; bin++) {
      if (sum >= wanted) {
        return lower(bin);
      }
      sum += counts[bin];
    }
    return Float.MAX_VALUE;
  }
}
