package smelt.formats.gguf;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/// Rows in `Q8_0`: blocks of 32 elements, byte for byte as ggml writes them.
///
/// | bytes | what |
/// |---|---|
/// | 2 | `d`, F16 |
/// | 32 | `q`, INT8: element is `d x q` |
///
/// `d` is the largest magnitude / 127 in F32; `q` is the element times the F32 reciprocal of that
/// `d` (not of the rounded one that is stored), rounded half away from zero. No product is fused
/// with a sum, so the bytes are the same on every machine. Zeros, and values so small (below 2^-128
/// x 127) that the reciprocal is infinite, give zeros.
public final class Q8Block {

  /// Elements of a block.
  public static final int ELEMENTS = GgmlType.Q8_0.blockElements();

  private static final int BYTES = GgmlType.Q8_0.blockBytes();
  private static final ValueLayout.OfFloat F32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfShort U16 =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private Q8Block() {}

  /// @param in F32, finite
  /// @param count elements, a multiple of 32
  public static void encode(
      MemorySegment in, long inOffset, MemorySegment out, long outOffset, long count) {
    requireBlocks(count);
    for (long block = 0; block < count / ELEMENTS; block++) {
      encodeBlock(in, inOffset + block * ELEMENTS * Float.BYTES, out, outOffset + block * BYTES);
    }
  }

  private static void encodeBlock(MemorySegment in, long at, MemorySegment out, long to) {
    float largest = 0;
    for (int i = 0; i < ELEMENTS; i++) {
      largest = Math.max(largest, Math.abs(in.get(F32, at + (long) i * Float.BYTES)));
    }
    float d = largest / 127f;
    float reciprocal = d == 0 ? 0 : 1 / d;
    if (Float.isInfinite(reciprocal)) {
      reciprocal = 0;
    }
    out.set(U16, to, Float.floatToFloat16(d));
    for (int i = 0; i < ELEMENTS; i++) {
      float x = in.get(F32, at + (long) i * Float.BYTES) * reciprocal;
      out.set(ValueLayout.JAVA_BYTE, to + Short.BYTES + i, (byte) halfAwayFromZero(x));
    }
  }

  /// In FP64, where adding a half to such a number is exact.
  private static int halfAwayFromZero(float x) {
    int magnitude = (int) (Math.abs((double) x) + 0.5);
    return x < 0 ? -magnitude : magnitude;
  }

  /// @param out F32
  /// @param count elements, a multiple of 32
  public static void decode(
      MemorySegment in, long inOffset, MemorySegment out, long outOffset, long count) {
    requireBlocks(count);
    for (long i = 0; i < count; i++) {
      long block = inOffset + i / ELEMENTS * BYTES;
      float d = Float.float16ToFloat(in.get(U16, block));
      byte q = in.get(ValueLayout.JAVA_BYTE, block + Short.BYTES + i % ELEMENTS);
      out.set(F32, outOffset + i * Float.BYTES, d * q);
    }
  }

  private static void requireBlocks(long count) {
    if (count % ELEMENTS != 0) {
      throw new IllegalArgumentException(count + " elements are no whole blocks");
    }
  }
}
