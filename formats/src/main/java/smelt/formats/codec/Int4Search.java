package smelt.formats.codec;

import static smelt.formats.codec.Layouts.F32;

import java.lang.foreign.MemorySegment;

/// Chooses the decode scale of a group of 4-bit codes: of all normal BF16 numbers the one with the
/// least squared error. As the stored scale is a BF16, this is the optimum of what can be stored.
///
/// Candidates are taken in this order, and of equal ones the first stays: from `absmax / 7`,
/// rounded to BF16, down, then from its upper neighbour up. The error of a scale `s` is the sum, in
/// the order of the values, of `r^2` with `r = a - s q`, `a = abs(x)` and `q` the integer nearest
/// to `a (1 / s)`, half to even, at most 7; all in F32, products that are added fused with the sum.
///
/// What is skipped cannot win: below the scale at which the largest magnitude alone, cut off at
/// code 7, costs more than the best so far; above a scale at which the values with code 0 alone
/// cost as much as the best, since a code that is 0 stays 0 above and no term of a sum, nor its
/// rounding, makes it less; above four times the largest magnitude, where every code is 0; and the
/// rest of a sum that is not less than the best already.
final class Int4Search {

  /// Upper half of the bits of the smallest normal float, and of the largest finite BF16.
  static final int LEAST_BITS = 0x0080;

  static final int MOST_BITS = 0x7F7F;

  /// Candidates from one look at the codes of 0 to the next: a multiple of every vector's lanes.
  private static final int LOOK = 16;

  private Int4Search() {}

  /// @param absmax the largest magnitude of the values
  /// @return the scale; 1 for zeros
  static float best(MemorySegment in, long inOffset, long count, float absmax) {
    if (absmax == 0) {
      return 1f;
    }
    int first = firstBits(absmax);
    int bestBits = first;
    float best = Float.POSITIVE_INFINITY;
    for (int bits = first; bits >= LEAST_BITS; bits--) {
      float scale = scale(bits);
      if (cutsOffMoreThan(best, scale, absmax)) {
        break;
      }
      float error = error(in, inOffset, count, scale, best);
      if (error < best) {
        best = error;
        bestBits = bits;
      }
    }
    for (int bits = first + 1; bits <= MOST_BITS && scale(bits) <= 4 * absmax; bits++) {
      if (isLookDue(bits - first) && zerosCostNoLessThan(best, in, inOffset, count, scale(bits))) {
        break;
      }
      float error = error(in, inOffset, count, scale(bits), best);
      if (error < best) {
        best = error;
        bestBits = bits;
      }
    }
    return scale(bestBits);
  }

  /// Where the search begins.
  static int firstBits(float absmax) {
    return Float.floatToRawIntBits(ScaleRule.INT4.scale(absmax)) >>> 16;
  }

  static float scale(int bits) {
    return Float.intBitsToFloat(bits << 16);
  }

  /// Whether the largest magnitude alone has a larger error.
  static boolean cutsOffMoreThan(float best, float scale, float absmax) {
    float rest = Math.fma(-scale, Scalars.INT4_MAX, absmax);
    return rest > 0 && rest * rest > best;
  }

  /// Whether the search, so many candidates above its beginning, looks at what codes of 0 cost.
  static boolean isLookDue(int above) {
    return above % LOOK == 1;
  }

  /// Whether the values with code 0 alone have no smaller error.
  static boolean zerosCostNoLessThan(
      float best, MemorySegment in, long inOffset, long count, float scale) {
    float inverse = 1 / scale;
    float error = 0;
    for (long i = 0; i < count; i++) {
      float a = Math.abs(in.get(F32, inOffset + Float.BYTES * i));
      // A half goes to the even 0.
      error = a * inverse <= 0.5f ? Math.fma(a, a, error) : error;
    }
    return error >= best;
  }

  /// The error, or anything not less than `best` if the error is not.
  private static float error(MemorySegment in, long inOffset, long count, float scale, float best) {
    float inverse = 1 / scale;
    float error = 0;
    for (long i = 0; i < count; i++) {
      float a = Math.abs(in.get(F32, inOffset + Float.BYTES * i));
      float code = (float) Math.rint(Math.min(Scalars.INT4_MAX, a * inverse));
      float rest = Math.fma(-scale, code, a);
      error = Math.fma(rest, rest, error);
      if (error >= best) {
        return error;
      }
    }
    return error;
  }
}
