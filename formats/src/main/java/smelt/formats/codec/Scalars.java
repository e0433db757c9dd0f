package smelt.formats.codec;

/// One number at a time: what each code means, and which code a number gets. This is the definition
/// that every kernel follows.
///
/// | type | sign | exponent | fraction | bias | largest | special |
/// |---|---|---|---|---|---|---|
/// | BF16 | 1 | 8 | 7 | 127 | 3.39e38 | as F32 |
/// | F16 | 1 | 5 | 10 | 15 | 65504 | as IEEE 754 |
/// | E4M3 (OCP FP8, "fn") | 1 | 4 | 3 | 7 | 448 | `0x7F`, `0xFF` NaN; no infinity |
/// | E5M2 (OCP FP8) | 1 | 5 | 2 | 15 | 57344 | `0x7C` infinity, above it NaN |
///
/// All have subnormals and both zeros.
final class Scalars {

  static final float E4M3_MAX = 448f;
  static final float INT8_MAX = 127f;
  static final float INT4_MAX = 7f;

  /// What is added to a 4-bit code to store it.
  static final int INT4_BIAS = 8;

  private static final int SIGN = 0x80000000;
  private static final int QUIET_NAN = 0x7FC00000;
  private static final int INFINITY = 0x7F800000;

  private static final int E4M3_FRACTION_BITS = 3;
  private static final int E4M3_BIAS = 7;
  private static final int E4M3_LARGEST_CODE = 0x7E;
  private static final float E4M3_SMALLEST_NORMAL = 0x1p-6f;
  private static final float E4M3_SUBNORMALS_PER_ONE = 0x1p9f;

  private Scalars() {}

  /// BF16 is the upper half of an F32.
  static float decodeBf16(short code) {
    return Float.intBitsToFloat(code << 16);
  }

  /// F16 by its fields. A subnormal is its fraction in units of 2^-24.
  static float decodeF16(short code) {
    int exponent = (code >>> 10) & 0x1F;
    int fraction = code & 0x3FF;
    float magnitude =
        switch (exponent) {
          case 0 -> fraction * 0x1p-24f;
          case 0x1F ->
              Float.intBitsToFloat(fraction == 0 ? INFINITY : QUIET_NAN | (fraction << 13));
          default -> Float.intBitsToFloat(((exponent - 15 + 127) << 23) | (fraction << 13));
        };
    return withSign(magnitude, code << 16);
  }

  /// E4M3 by its fields, times the scale. A subnormal is its fraction in units of 2^-9.
  static float decodeE4m3(byte code, float scale) {
    int exponent = (code >>> E4M3_FRACTION_BITS) & 0xF;
    int fraction = code & 7;
    if (isNanE4m3(code)) {
      return withSign(Float.intBitsToFloat(QUIET_NAN), code << 24);
    }
    float magnitude =
        exponent == 0
            ? fraction / E4M3_SUBNORMALS_PER_ONE
            : Float.intBitsToFloat(((exponent - E4M3_BIAS + 127) << 23) | (fraction << 20));
    return withSign(magnitude * scale, code << 24);
  }

  static boolean isNanE4m3(byte code) {
    return (code & 0x7F) == 0x7F;
  }

  /// E5M2 is the upper half of an F16; times the scale. Every NaN code gives the same NaN.
  static float decodeE5m2(byte code, float scale) {
    if ((code & 0x7F) > 0x7C) {
      return withSign(Float.intBitsToFloat(QUIET_NAN), code << 24);
    }
    return decodeF16((short) (code << 8)) * scale;
  }

  static boolean isFiniteE5m2(byte code) {
    return (code & 0x7C) != 0x7C;
  }

  static float decodeInt8(byte code, float scale) {
    return code * scale;
  }

  /// The nearest BF16, half to even. What rounds past the largest is infinite; NaN is quiet with
  /// its sign and no payload; -0 stays.
  static short encodeBf16(float x) {
    int bits = Float.floatToRawIntBits(x);
    if (Float.isNaN(x)) {
      return (short) (((bits & SIGN) | QUIET_NAN) >>> 16);
    }
    int odd = (bits >>> 16) & 1;
    return (short) ((bits + 0x7FFF + odd) >>> 16);
  }

  /// The nearest E4M3 of `x / scale` (one F32 division), half to even. What is above 448, infinity
  /// too, gives 448; -0, and what rounds to it, keeps its sign. `x` is not NaN.
  static byte encodeE4m3(float x, float scale) {
    float quotient = x / scale;
    float a = Math.abs(quotient);
    int code;
    if (a >= E4M3_MAX) {
      code = E4M3_LARGEST_CODE;
    } else if (a < E4M3_SMALLEST_NORMAL) {
      code = (int) Math.rint(a * E4M3_SUBNORMALS_PER_ONE);
    } else {
      // The significand in eighths, 8 to 16; 16 carries into the exponent by itself.
      int exponent = Math.getExponent(a);
      int eighths = (int) Math.rint(a * powerOfTwo(E4M3_FRACTION_BITS - exponent));
      code = ((exponent + E4M3_BIAS) << E4M3_FRACTION_BITS) + (eighths - 8);
    }
    return (byte) (code | ((Float.floatToRawIntBits(quotient) & SIGN) >>> 24));
  }

  /// The nearest integer of `x / scale` (one F32 division), half to even, at most 127 in magnitude.
  /// `x` is not NaN.
  static byte encodeInt8(float x, float scale) {
    double nearest = Math.rint(x / scale);
    return (byte) Math.max(-INT8_MAX, Math.min(INT8_MAX, nearest));
  }

  /// @param stored the code plus 8, from 0 to 15
  static float decodeInt4(int stored, float scale) {
    return (stored - INT4_BIAS) * scale;
  }

  /// The nearest integer of `x / scale` (one F32 division), half to even, at most 7 in magnitude,
  /// as it is stored: plus 8. `x` is not NaN.
  static int encodeInt4(float x, float scale) {
    double nearest = Math.rint(x / scale);
    return (int) Math.max(-INT4_MAX, Math.min(INT4_MAX, nearest)) + INT4_BIAS;
  }

  private static float powerOfTwo(int exponent) {
    return Float.intBitsToFloat((exponent + 127) << 23);
  }

  private static float withSign(float magnitude, int signBit) {
    return Float.intBitsToFloat(Float.floatToRawIntBits(magnitude) | (signBit & SIGN));
  }
}
