package smelt.converter.gguf;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.OptionalLong;
import smelt.formats.codec.Kernels;
import smelt.formats.ggml.BlockKernels;
import smelt.formats.ggml.BlockQuantizer;
import smelt.formats.gguf.GgmlType;

/// Writes F32 values in a type of GGUF. Values that the type cannot hold are found before.
public final class RowEncoder {

  /// The least magnitude that rounds to infinity in BF16, half to even.
  private static final float BF16_LIMIT = Float.intBitsToFloat(0x7F7F8000);

  /// The least magnitude that rounds to infinity in F16.
  private static final float F16_LIMIT = 65520f;

  private static final ValueLayout.OfFloat F32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfShort U16 =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private static final BlockKernels BLOCKS = BlockKernels.choose("auto");

  private RowEncoder() {}

  /// Index of the first value that is NaN, infinite, or would be so in the type.
  public static OptionalLong firstUnfit(
      Kernels kernels, GgmlType type, MemorySegment in, long count) {
    float limit = limit(type);
    MemorySegment largest = MemorySegment.ofArray(new byte[Float.BYTES]);
    kernels.absmax(in, 0, Math.max(1, count), largest, 0, count);
    if (largest.get(F32, 0) < limit) {
      return OptionalLong.empty();
    }
    for (long i = 0; i < count; i++) {
      if (!(Math.abs(in.get(F32, i * Float.BYTES)) < limit)) {
        return OptionalLong.of(i);
      }
    }
    return OptionalLong.empty();
  }

  private static float limit(GgmlType type) {
    return switch (type) {
      case F32, MXFP4 -> Float.POSITIVE_INFINITY;
      case BF16 -> BF16_LIMIT;
      case F16 -> F16_LIMIT;
      // Scales of blocks are F16, and at most the largest magnitude.
      default -> F16_LIMIT;
    };
  }

  /// @param in F32, without what `firstUnfit` finds
  /// @param importance of each column; empty where all count alike
  /// @param count elements, whole rows
  /// @param cols elements of a row, whole blocks of the type
  public static void encode(
      Kernels kernels,
      GgmlType type,
      MemorySegment in,
      float[] importance,
      MemorySegment out,
      long count,
      long cols) {
    switch (type) {
      case F32 -> MemorySegment.copy(in, 0, out, 0, count * Float.BYTES);
      case BF16 -> kernels.encodeBf16(in, 0, out, 0, count);
      case F16 -> {
        for (long i = 0; i < count; i++) {
          short half = Float.floatToFloat16(in.get(F32, i * Float.BYTES));
          out.set(U16, i * Short.BYTES, half);
        }
      }
      default ->
          BlockQuantizer.quantize(
              BLOCKS, type, in, 0, count / cols, cols, weights(importance), 0, out, 0);
    }
  }

  private static MemorySegment weights(float[] importance) {
    return importance.length == 0 ? MemorySegment.NULL : MemorySegment.ofArray(importance);
  }
}
