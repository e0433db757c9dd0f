package smelt.formats.codec;

import java.math.BigDecimal;
import java.util.Arrays;

/// What codes mean and which code a number gets, from the formats' definitions and by search, in
/// exact arithmetic: shares nothing with the kernels.
final class Oracle {

  private static final double[] E4M3 = new double[127];

  static {
    for (int code = 0; code < E4M3.length; code++) {
      E4M3[code] = minifloat(code, 4, 3, 7);
    }
  }

  private Oracle() {}

  /// (-1)^s 2^(e - bias) (1 + f / 2^fractionBits); with e = 0: 2^(1 - bias) (f / 2^fractionBits).
  static double minifloat(int code, int exponentBits, int fractionBits, int bias) {
    int fraction = code & ((1 << fractionBits) - 1);
    int exponent = (code >> fractionBits) & ((1 << exponentBits) - 1);
    boolean negative = ((code >> (fractionBits + exponentBits)) & 1) == 1;
    double significand = fraction / Math.pow(2, fractionBits) + (exponent == 0 ? 0 : 1);
    double magnitude = significand * Math.pow(2, Math.max(exponent, 1) - bias);
    return negative ? -magnitude : magnitude;
  }

  /// NaN for the two NaN codes.
  static double e4m3(int code) {
    return (code & 0x7F) == 0x7F ? Double.NaN : minifloat(code, 4, 3, 7);
  }

  static double e5m2(int code) {
    return ieee(code, 5, 2, 15);
  }

  static double f16(int code) {
    return ieee(code, 5, 10, 15);
  }

  static double bf16(int code) {
    return ieee(code, 8, 7, 127);
  }

  private static double ieee(int code, int exponentBits, int fractionBits, int bias) {
    int ones = (1 << exponentBits) - 1;
    if (((code >> fractionBits) & ones) != ones) {
      return minifloat(code, exponentBits, fractionBits, bias);
    }
    if ((code & ((1 << fractionBits) - 1)) != 0) {
      return Double.NaN;
    }
    boolean negative = ((code >> (fractionBits + exponentBits)) & 1) == 1;
    return negative ? Double.NEGATIVE_INFINITY : Double.POSITIVE_INFINITY;
  }

  /// The F32 quotient. Rounding to double first changes nothing for a quotient of two floats,
  /// except below the normal floats, which is far below every code.
  static float quotient(float x, float scale) {
    return (float) ((double) x / scale);
  }

  /// The E4M3 code nearest to `x / scale`, of two equally near ones the even one.
  static int encodeE4m3(float x, float scale) {
    float q = quotient(x, scale);
    double a = Math.min(Math.abs(q), 448);
    int found = Arrays.binarySearch(E4M3, a);
    int best = found;
    if (found < 0) {
      int above = -found - 1;
      int nearer = Double.compare(E4M3[above] - a, a - E4M3[above - 1]);
      best = nearer < 0 || (nearer == 0 && above % 2 == 0) ? above : above - 1;
    }
    return 1 / q < 0 || q < 0 ? best | 0x80 : best;
  }

  /// The integer nearest to `x / scale`, of two equally near ones the even one, within 127.
  static int encodeInt8(float x, float scale) {
    float q = quotient(x, scale);
    double clamped = Math.max(-127, Math.min(127, q));
    int floor = (int) Math.floor(clamped);
    BigDecimal above = new BigDecimal(clamped).subtract(BigDecimal.valueOf(floor));
    int half = above.compareTo(new BigDecimal("0.5"));
    boolean up = half > 0 || (half == 0 && floor % 2 != 0);
    return up ? floor + 1 : floor;
  }

  /// The BF16 code nearest to a finite `x`: of its neighbours the nearer, or the even one; what is
  /// nearer to 2^128 than to the largest BF16 is infinite.
  static int encodeBf16(float x) {
    int below = (Float.floatToRawIntBits(x) >>> 16) & 0x7FFF;
    double a = Math.abs((double) x);
    double low = bf16(below);
    double high = below == 0x7F7F ? 0x1p128 : bf16(below + 1);
    int nearer = Double.compare(high - a, a - low);
    int code = nearer < 0 || (nearer == 0 && below % 2 == 1) ? below + 1 : below;
    return 1 / x < 0 || x < 0 ? code | 0x8000 : code;
  }
}
