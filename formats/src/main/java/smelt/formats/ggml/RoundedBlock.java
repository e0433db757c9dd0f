package smelt.formats.ggml;

import static smelt.formats.ggml.Layouts.F32;
import static smelt.formats.ggml.Layouts.U16;
import static smelt.formats.ggml.Layouts.U32;
import static smelt.formats.ggml.Layouts.U8;

import java.lang.foreign.MemorySegment;
import smelt.formats.gguf.GgmlType;

/// Blocks of 32 elements with one scale `d`, and for some a least value `m`, both F16:
///
/// | type | bytes | element |
/// |---|---|---|
/// | `Q8_0` | `d` 2, `q` 32 x INT8 | `d q` |
/// | `Q4_0` | `d` 2, `q` 16 | `d (q - 8)` |
/// | `Q4_1` | `d` 2, `m` 2, `q` 16 | `d q + m` |
/// | `Q5_0` | `d` 2, `h` 4, `q` 16 | `d (q - 16)` |
/// | `Q5_1` | `d` 2, `m` 2, `h` 4, `q` 16 | `d q + m` |
///
/// Byte `j` of four-bit codes holds those of element `j` (low) and `j + 16` (high); bit `i` of the
/// U32 `h` is the fifth bit of the code of element `i`.
///
/// Without weights the scale comes from the extremes: in `Q8_0` the largest magnitude becomes 127;
/// in `Q4_0` and `Q5_0` the first element of largest magnitude becomes -8 or -16, whatever its
/// sign; in `Q4_1` and `Q5_1` the least element becomes 0 and the largest 15 or 31. Elements are
/// multiplied by the F32 reciprocal of `d` before that is rounded to F16, and rounded half away
/// from zero (`Q8_0`), or cut after adding a half. If the reciprocal is infinite, all codes are 0.
final class RoundedBlock {

  static final int ELEMENTS = 32;
  private static final int HALF = ELEMENTS / 2;

  private RoundedBlock() {}

  /// Bytes of `d` and, where the type has one, `m`.
  static int scaleBytes(GgmlType type) {
    return type == GgmlType.Q4_1 || type == GgmlType.Q5_1 ? 2 * Short.BYTES : Short.BYTES;
  }

  /// Bits of a code.
  static int codeBits(GgmlType type) {
    return switch (type) {
      case Q8_0 -> 8;
      case Q4_0, Q4_1 -> 4;
      case Q5_0, Q5_1 -> 5;
      default -> throw new IllegalArgumentException("no rounded blocks in " + type);
    };
  }

  static void encode(GgmlType type, float[] x, MemorySegment out, long to) {
    switch (type) {
      case Q8_0 -> encodeBytes(x, out, to);
      case Q4_0, Q5_0 -> encodeSymmetric(codeBits(type), x, out, to);
      case Q4_1, Q5_1 -> encodeAffine(codeBits(type), x, out, to);
      default -> throw new IllegalArgumentException("no rounded blocks in " + type);
    }
  }

  private static void encodeBytes(float[] x, MemorySegment out, long to) {
    float largest = 0;
    for (float value : x) {
      largest = Math.max(largest, Math.abs(value));
    }
    float d = largest / 127f;
    float reciprocal = reciprocal(d);
    out.set(U16, to, Float.floatToFloat16(d));
    for (int i = 0; i < ELEMENTS; i++) {
      out.set(U8, to + Short.BYTES + i, (byte) Round.halfAwayFromZero(x[i] * reciprocal));
    }
  }

  private static void encodeSymmetric(int bits, float[] x, MemorySegment out, long to) {
    float extreme = extreme(x, 0, ELEMENTS);
    int middle = 1 << (bits - 1);
    float d = extreme / -middle;
    float reciprocal = reciprocal(d);
    float half = reciprocal == 0 && d != 0 ? 0 : middle + 0.5f;
    byte[] codes = new byte[ELEMENTS];
    for (int i = 0; i < ELEMENTS; i++) {
      codes[i] = (byte) Math.min(2 * middle - 1, (int) (x[i] * reciprocal + half));
    }
    out.set(U16, to, Float.floatToFloat16(d));
    pack(bits, codes, 0, out, to + Short.BYTES);
  }

  private static void encodeAffine(int bits, float[] x, MemorySegment out, long to) {
    float least = x[0];
    float largest = x[0];
    for (float value : x) {
      least = value < least ? value : least;
      largest = value > largest ? value : largest;
    }
    int top = (1 << bits) - 1;
    float d = (largest - least) / top;
    float reciprocal = reciprocal(d);
    byte[] codes = new byte[ELEMENTS];
    for (int i = 0; i < ELEMENTS; i++) {
      codes[i] = (byte) Math.min(top, (int) ((x[i] - least) * reciprocal + 0.5f));
    }
    out.set(U16, to, Float.floatToFloat16(d));
    out.set(U16, to + Short.BYTES, Float.floatToFloat16(least));
    pack(bits, codes, 0, out, to + 2 * Short.BYTES);
  }

  /// The first element of largest magnitude; 0 if there are only zeros, of either sign.
  static float extreme(float[] x, int from, int count) {
    float magnitude = 0;
    float extreme = 0;
    for (int i = from; i < from + count; i++) {
      if (Math.abs(x[i]) > magnitude) {
        magnitude = Math.abs(x[i]);
        extreme = x[i];
      }
    }
    return extreme;
  }

  /// 0 where there is none that is finite.
  static float reciprocal(float d) {
    float reciprocal = d == 0 ? 0 : 1 / d;
    return Float.isInfinite(reciprocal) ? 0 : reciprocal;
  }

  /// Packs 32 codes of four bits, or of five with the fifth ones before the others.
  static void pack(int bits, byte[] codes, int from, MemorySegment out, long to) {
    long at = to;
    if (bits == 5) {
      int fifths = 0;
      for (int i = 0; i < ELEMENTS; i++) {
        fifths |= (codes[from + i] >> 4 & 1) << i;
      }
      out.set(U32, at, fifths);
      at += Integer.BYTES;
    }
    for (int j = 0; j < HALF; j++) {
      out.set(U8, at + j, (byte) (codes[from + j] & 15 | codes[from + j + HALF] << 4));
    }
  }

  /// Copies the elements of one block.
  static void load(MemorySegment in, long at, float[] x) {
    MemorySegment.copy(in, F32, at, x, 0, ELEMENTS);
  }
}
