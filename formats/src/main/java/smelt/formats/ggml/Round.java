package smelt.formats.ggml;

/// How ggml rounds.
final class Round {

  /// Added to a magnitude below 2^22 it leaves the integer in the low bits.
  static final float TO_INTEGER = 12582912f;

  /// The float before a half: what is added before cutting, so that 0.49999997 does not become 1.
  static final float ALMOST_HALF = 0.49999997f;

  private Round() {}

  /// To the nearest integer, half to even, for magnitudes below 2^22. What other numbers give
  /// follows from the bits alone, and is the same everywhere: NaN gives 0, infinity -2^22.
  static int nearest(float x) {
    return (Float.floatToIntBits(x + TO_INTEGER) & 0x7FFFFF) - 0x400000;
  }

  /// To the nearest integer, half away from zero, for magnitudes below 2^22.
  static int halfAwayFromZero(float x) {
    return (int) (x + Math.copySign(ALMOST_HALF, x));
  }

  static int clamp(int code, int least, int largest) {
    return Math.max(least, Math.min(largest, code));
  }
}
