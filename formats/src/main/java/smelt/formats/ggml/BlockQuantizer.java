package smelt.formats.ggml;

import static smelt.formats.ggml.Layouts.F32;

import java.lang.foreign.MemorySegment;
import java.util.Objects;
import java.util.OptionalLong;
import smelt.formats.codec.NonFiniteException;
import smelt.formats.gguf.BlockScales;
import smelt.formats.gguf.GgmlType;

/// Quantizes rows of F32 to blocks of a ggml type. Rows are independent of each other, so the bytes
/// do not depend on how a matrix is cut into calls. No state; any thread may call.
public final class BlockQuantizer {

  private static final int INFINITY = 0x7F800000;

  /// Bits of a magnitude below which no scale can pass the largest F16.
  private static final int ORDINARY = Float.floatToIntBits(32768f);

  private BlockQuantizer() {}

  /// Whether blocks of the type can be written.
  public static boolean canWrite(GgmlType type) {
    return switch (type) {
      case Q8_0, Q4_0, Q4_1, Q5_0, Q5_1 -> true;
      case Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, MXFP4 -> true;
      default -> false;
    };
  }

  /// Quantizes `rows` rows that lie one after the other.
  ///
  /// @param in F32, finite, row-major
  /// @param cols a multiple of the block
  /// @param importance `cols` F32 weights, finite and none negative, that every row shares, or
  ///   `MemorySegment.NULL` for none; `Q8_0` and `MXFP4` do not use them
  /// @param out the blocks, `type.bytes(rows * cols)`; does not overlap `in`
  /// @throws NonFiniteException names the first NaN or infinity by row and column, or the first
  ///   column of a block whose scale passes the largest F16; the rows before it are written
  /// @throws IllegalArgumentException if `canWrite` says no, or a row is no whole blocks
  public static void quantize(
      BlockKernels kernels,
      GgmlType type,
      MemorySegment in,
      long inOffset,
      long rows,
      long cols,
      MemorySegment importance,
      long importanceOffset,
      MemorySegment out,
      long outOffset) {
    if (!canWrite(type) || rows < 0 || cols <= 0 || cols % type.blockElements() != 0) {
      throw new IllegalArgumentException(rows + " rows of " + cols + " in " + type);
    }
    long inBytes = Math.multiplyExact(cols, (long) Float.BYTES);
    long outBytes = type.bytes(cols);
    Objects.checkFromIndexSize(inOffset, Math.multiplyExact(rows, inBytes), in.byteSize());
    Objects.checkFromIndexSize(outOffset, Math.multiplyExact(rows, outBytes), out.byteSize());
    float[] weights =
        importance.equals(MemorySegment.NULL)
            ? new float[0]
            : weights(importance, importanceOffset, Math.toIntExact(cols));
    RowQuantizer quantizer = RowQuantizer.of(kernels, type, weights, Math.toIntExact(cols));
    for (long row = 0; row < rows; row++) {
      long from = inOffset + row * inBytes;
      long to = outOffset + row * outBytes;
      int largest = quantizer.quantize(in, from, out, to);
      if (largest >= INFINITY) {
        throw nonFinite(in, from, row, cols);
      }
      if (largest >= ORDINARY) {
        requireFiniteScales(type, in, from, out, to, row, cols);
      }
    }
  }

  private static float[] weights(MemorySegment importance, long offset, int cols) {
    float[] weights = new float[cols];
    MemorySegment.copy(importance, F32, offset, weights, 0, cols);
    for (int i = 0; i < cols; i++) {
      if (!(weights[i] >= 0 && weights[i] < Float.POSITIVE_INFINITY)) {
        throw new IllegalArgumentException("importance " + i + " is " + weights[i]);
      }
    }
    return weights;
  }

  private static NonFiniteException nonFinite(MemorySegment in, long from, long row, long cols) {
    for (long col = 0; col < cols; col++) {
      float value = in.get(F32, from + col * Float.BYTES);
      if (!Float.isFinite(value)) {
        return new NonFiniteException(new NonFiniteException.Place.Weight(row, col), value);
      }
    }
    throw new AssertionError("all finite");
  }

  private static void requireFiniteScales(
      GgmlType type, MemorySegment in, long from, MemorySegment out, long to, long row, long cols) {
    MemorySegment blocks = out.asSlice(to, type.bytes(cols));
    OptionalLong block = BlockScales.firstNonFinite(type, blocks);
    if (block.isPresent()) {
      long col = block.getAsLong() * type.blockElements();
      throw new NonFiniteException(
          new NonFiniteException.Place.Weight(row, col), in.get(F32, from + col * Float.BYTES));
    }
  }
}
