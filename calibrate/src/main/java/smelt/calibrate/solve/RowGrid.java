package smelt.calibrate.solve;

/// What the codes and the decode scales of a row may be: `value = code x scale`.
///
/// @param group codes, one after the other, that share a scale; all of a row for one scale a row
/// @param largest codes are from `-largest` to `largest`: 127, or 7 for four bits; the least code
///   of the type, -128 or -8, has no positive partner and is not used
/// @param scaleType what scales are stored as
public record RowGrid(int group, int largest, ScaleType scaleType) {

  /// The type of stored scales. Scales are normal numbers of it, and codes are chosen for them.
  public enum ScaleType {
    F32,
    BF16;

    /// The number of this type nearest to a finite one, half to even.
    float nearest(float x) {
      if (this == F32) {
        return x;
      }
      int bits = Float.floatToRawIntBits(x);
      return Float.intBitsToFloat((bits + 0x7FFF + (bits >>> 16 & 1)) & 0xFFFF0000);
    }
  }

  public RowGrid {
    if (group < 1) {
      throw new IllegalArgumentException("groups of " + group + " codes");
    }
    if (largest != 7 && largest != 127) {
      throw new IllegalArgumentException("codes up to " + largest + ", there are 7 and 127");
    }
  }

  /// One scale for each row of `cols` codes.
  public static RowGrid wholeRow(int cols, int largest, ScaleType scaleType) {
    return new RowGrid(cols, largest, scaleType);
  }

  /// Scales of a row of `cols` codes.
  ///
  /// @throws IllegalArgumentException if they are not whole groups
  public int groups(long cols) {
    if (cols < group || cols % group != 0) {
      throw new IllegalArgumentException(cols + " columns in groups of " + group);
    }
    return Math.toIntExact(cols / group);
  }

  /// The scale of codes that are all 0, as codecs store it: 0 for four bits with an F32, else 1.
  float emptyScale() {
    return largest == 7 && scaleType == ScaleType.F32 ? 0 : 1;
  }

  /// The code nearest to `x / scale` (one F32 division), half to even.
  byte code(float x, float scale) {
    return (byte) Math.clamp(Math.rint(x / scale), -largest, largest);
  }
}
