package smelt.formats.codec;

import smelt.formats.ElementType;

/// How the decode scale of a row or block follows from its largest magnitude. The codes are then `x
/// / scale`, half to even, saturating at the largest code.
///
/// - A row or block of zeros has the scale 1.0 (and codes 0).
/// - A scale that would be subnormal or zero is 2^-126, the smallest normal float.
enum ScaleRule {
  /// `absmax / 127`, one F32 division.
  INT8 {
    @Override
    float ofNonZero(float absmax) {
      return absmax / Scalars.INT8_MAX;
    }
  },

  /// `absmax / 7`, one F32 division, rounded to a BF16.
  INT4 {
    @Override
    float ofNonZero(float absmax) {
      return Scalars.decodeBf16(Scalars.encodeBf16(absmax / Scalars.INT4_MAX));
    }
  },

  /// `absmax / 448`, one F32 division.
  E4M3 {
    @Override
    float ofNonZero(float absmax) {
      return absmax / Scalars.E4M3_MAX;
    }
  },

  /// The smallest power of two that is not less than `absmax / 448`. (The F32 division never
  /// crosses a power of two: around one, quotients of neighbouring `absmax` are more than half a
  /// unit in the last place apart from it.)
  E4M3_UE8M0 {
    @Override
    float ofNonZero(float absmax) {
      int bits = Float.floatToRawIntBits(absmax / Scalars.E4M3_MAX);
      return Float.intBitsToFloat((bits + 0x007FFFFF) & 0x7F800000);
    }
  };

  abstract float ofNonZero(float absmax);

  /// @param absmax finite, not negative
  final float scale(float absmax) {
    return absmax == 0 ? 1f : Math.max(Float.MIN_NORMAL, ofNonZero(absmax));
  }

  static ScaleRule of(ElementType type, ScaleFormat format) {
    if (type == ElementType.I8) {
      return INT8;
    }
    return format == ScaleFormat.UE8M0 ? E4M3_UE8M0 : E4M3;
  }
}
