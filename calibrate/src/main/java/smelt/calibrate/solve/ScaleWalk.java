package smelt.calibrate.solve;

import java.util.Arrays;

/// Finds the scale of a group that minimises `sum h (x - scale code)^2` with each code the nearest
/// in `[-largest, largest]`: the global optimum among the scales that can be stored.
///
/// As the scale falls from above `2 absmax`, the code of `x` steps from `m` to `m + 1` at the scale
/// `abs(x) / (m + 1/2)`. With `A = sum h abs(x) code` and `B = sum h code^2` of the codes at some
/// scale, that scale `s` leaves `sum h x^2 - 2 s A + s^2 B`, and the best scale for the same codes,
/// `A / B`, leaves `sum h x^2 - A^2 / B`. A step adds `h abs(x)` to `A` and `h (2 m + 1)` to `B`.
///
/// Steps are gathered by the upper bits of the scale at which they come, and the walk goes from one
/// such number to the next:
///
/// - For BF16 these are all numbers that can be stored, and the best is taken.
/// - For F32 there are 1024 of them between powers of two. Between two of them `A^2 / B` is at most
///   `A^2` of the lower one over `B` of the upper. Where that is above the best so far the steps
///   between them are sorted and walked one by one. So all roundings there are were met.
///
/// Only scales down to `absmax / 2^13` are looked at; below, all but the smallest magnitudes are
/// cut off. Sums are F64, in the order of the group. One walk serves one thread.
final class ScaleWalk {

  private static final int OCTAVES = 14;
  private static final int BF16_SHIFT = 16;
  private static final int F32_SHIFT = 13;
  private static final int LEAST_NORMAL = 0x00800000;
  private static final int INFINITE = 0x7F800000;

  private final int largest;
  private final int shift;
  private final float[] inverse;

  /// What the steps of a bucket add to `A` and to `B`, and then their sums up to and with it.
  private final double[] a;

  private final double[] b;

  private long[] steps = new long[64];

  ScaleWalk(RowGrid grid) {
    largest = grid.largest();
    shift = grid.scaleType() == RowGrid.ScaleType.BF16 ? BF16_SHIFT : F32_SHIFT;
    inverse = new float[largest];
    for (int m = 0; m < largest; m++) {
      inverse[m] = (float) (2.0 / (2 * m + 1));
    }
    int buckets = OCTAVES << (23 - shift);
    a = new double[buckets];
    b = new double[buckets];
  }

  /// The best scale of `x[from]` to `x[from + count - 1]`, finite numbers.
  ///
  /// @param importance the weights `h`, at the same places as the numbers; where none is positive
  ///   all count alike
  /// @return 0 for zeros, and where no normal number fits
  float search(float[] x, float[] importance, int from, int count) {
    float absmax = 0;
    boolean weighted = false;
    for (int i = from; i < from + count; i++) {
      absmax = Math.max(absmax, Math.abs(x[i]));
      weighted |= importance[i] > 0;
    }
    if (absmax == 0) {
      return 0;
    }
    int top = Float.floatToRawIntBits(2 * absmax) >>> shift;
    gather(x, weighted ? importance : null, from, count, top);
    double scale =
        shift == BF16_SHIFT
            ? bestStored(top)
            : bestFitted(x, weighted ? importance : null, from, count, top);
    return scale >= Float.MIN_NORMAL && scale <= Float.MAX_VALUE ? (float) scale : 0;
  }

  private void gather(float[] x, float[] h, int from, int count, int top) {
    Arrays.fill(a, 0);
    Arrays.fill(b, 0);
    for (int i = from; i < from + count; i++) {
      float magnitude = Math.abs(x[i]);
      double weight = h == null ? 1 : h[i];
      double mass = weight * magnitude;
      for (int m = 0; m < largest; m++) {
        int bucket = top - (Float.floatToRawIntBits(magnitude * inverse[m]) >>> shift);
        if (bucket >= a.length) {
          break;
        }
        a[bucket] += mass;
        b[bucket] += weight * (2 * m + 1);
      }
    }
  }

  private double bestStored(int top) {
    double sumA = 0;
    double sumB = 0;
    double least = 0;
    double best = 0;
    for (int bucket = 0; bucket < a.length; bucket++) {
      int bits = (top - bucket) << shift;
      if (bits < LEAST_NORMAL) {
        break;
      }
      sumA += a[bucket];
      sumB += b[bucket];
      double scale = Float.intBitsToFloat(bits);
      double error = scale * (scale * sumB - 2 * sumA);
      if (error < least && bits < INFINITE) {
        least = error;
        best = scale;
      }
    }
    return best;
  }

  private double bestFitted(float[] x, float[] h, int from, int count, int top) {
    double most = 0;
    double best = 0;
    for (int bucket = 0; bucket < a.length; bucket++) {
      a[bucket] += bucket == 0 ? 0 : a[bucket - 1];
      b[bucket] += bucket == 0 ? 0 : b[bucket - 1];
      if (a[bucket] * a[bucket] > most * b[bucket]) {
        most = a[bucket] * a[bucket] / b[bucket];
        best = a[bucket] / b[bucket];
      }
    }
    int found = stepsThatMayBeat(most, x, from, count, top);
    Arrays.sort(steps, 0, found);
    int current = -1;
    double sumA = 0;
    double sumB = 0;
    for (int s = 0; s < found; s++) {
      int bucket = top - ((Integer.MAX_VALUE - (int) (steps[s] >>> 32)) >>> shift);
      if (bucket != current) {
        current = bucket;
        sumA = bucket == 0 ? 0 : a[bucket - 1];
        sumB = bucket == 0 ? 0 : b[bucket - 1];
      }
      int i = from + ((int) steps[s] >>> 7);
      double weight = h == null ? 1 : h[i];
      sumA += weight * Math.abs(x[i]);
      sumB += weight * (2 * ((int) steps[s] & 127) + 1);
      if (sumA * sumA > most * sumB) {
        most = sumA * sumA / sumB;
        best = sumA / sumB;
      }
    }
    return best;
  }

  /// Writes those steps to `steps`: in the upper half the bits of the scale, so that larger ones
  /// come first, then the number's place and `m`.
  private int stepsThatMayBeat(double most, float[] x, int from, int count, int top) {
    int found = 0;
    for (int i = from; i < from + count; i++) {
      float magnitude = Math.abs(x[i]);
      for (int m = 0; m < largest; m++) {
        int bits = Float.floatToRawIntBits(magnitude * inverse[m]);
        int bucket = top - (bits >>> shift);
        if (bucket >= a.length) {
          break;
        }
        double before = bucket == 0 ? 0 : b[bucket - 1];
        if (a[bucket] * a[bucket] > most * before) {
          if (found == steps.length) {
            steps = Arrays.copyOf(steps, 2 * found);
          }
          steps[found++] = (long) (Integer.MAX_VALUE - bits) << 32 | (i - from) << 7 | m;
        }
      }
    }
    return found;
  }
}
