package smelt.formats.gguf;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Objects;
import java.util.Optional;
import smelt.formats.UnsupportedException;

/// Rows of a GGUF tensor as F32, bit for bit what llama.cpp makes of them: every product and sum is
/// rounded to F32, in the order that the tables of [SmallBlocks] and [SuperBlocks] give, and none
/// is fused with another. Scales are taken as they are, infinite ones and NaN too.
public final class BlockDecoder {

  /// A block of one type.
  private interface Block {
    void decode(byte[] block, float[] out);
  }

  private static final ValueLayout.OfFloat F32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfShort U16 =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private BlockDecoder() {}

  /// Whether a type's rows can be decoded. Rows that are interleaved must be separated before.
  public static boolean canRead(GgmlType type) {
    return isPlain(type) || block(type).isPresent();
  }

  /// Decodes rows that follow each other without a gap.
  ///
  /// @param rows number of rows
  /// @param cols elements of a row, a multiple of the type's block
  /// @param in `rows * type.bytes(cols)` bytes from `inOffset` on
  /// @param out where `rows * cols` F32, little-endian, are written from `outOffset` on
  /// @throws UnsupportedException unless `canRead(type)`
  /// @throws ArithmeticException if rows do not fill blocks, or a size overflows
  public static void decode(
      GgmlType type,
      MemorySegment in,
      long inOffset,
      long rows,
      long cols,
      MemorySegment out,
      long outOffset) {
    if (!canRead(type)) {
      throw new UnsupportedException(
          "reading " + type,
          "F32, F16, BF16, Q8_0, Q4_0 to Q5_1, Q2_K to Q6_K, IQ4_NL, IQ4_XS and MXFP4 are");
    }
    long bytes = Math.multiplyExact(rows, type.bytes(cols));
    long count = Math.multiplyExact(rows, cols);
    Objects.checkFromIndexSize(inOffset, bytes, in.byteSize());
    long outBytes = Math.multiplyExact(count, (long) Float.BYTES);
    Objects.checkFromIndexSize(outOffset, outBytes, out.byteSize());
    if (isPlain(type)) {
      plain(type, in, inOffset, count, out, outOffset);
    } else {
      blocks(type, in, inOffset, count / type.blockElements(), out, outOffset);
    }
  }

  private static boolean isPlain(GgmlType type) {
    return type == GgmlType.F32 || type == GgmlType.F16 || type == GgmlType.BF16;
  }

  private static void plain(
      GgmlType type, MemorySegment in, long at, long count, MemorySegment out, long to) {
    if (type == GgmlType.F32) {
      MemorySegment.copy(in, at, out, to, count * Float.BYTES);
      return;
    }
    boolean half = type == GgmlType.F16;
    for (long i = 0; i < count; i++) {
      short code = in.get(U16, at + i * Short.BYTES);
      float x = half ? Float.float16ToFloat(code) : Float.intBitsToFloat(code << 16);
      out.set(F32, to + i * Float.BYTES, x);
    }
  }

  private static void blocks(
      GgmlType type, MemorySegment in, long at, long count, MemorySegment out, long to) {
    Block decoder = block(type).orElseThrow();
    byte[] block = new byte[type.blockBytes()];
    float[] values = new float[type.blockElements()];
    for (long i = 0; i < count; i++) {
      MemorySegment.copy(in, ValueLayout.JAVA_BYTE, at + i * block.length, block, 0, block.length);
      decoder.decode(block, values);
      long place = to + i * values.length * Float.BYTES;
      MemorySegment.copy(values, 0, out, F32, place, values.length);
    }
  }

  /// Empty for what has no blocks, or is not read.
  private static Optional<Block> block(GgmlType type) {
    return switch (type) {
      case Q8_0 -> Optional.of(SmallBlocks::q8);
      case Q4_0 -> Optional.of(SmallBlocks::q40);
      case Q4_1 -> Optional.of(SmallBlocks::q41);
      case Q5_0 -> Optional.of(SmallBlocks::q50);
      case Q5_1 -> Optional.of(SmallBlocks::q51);
      case IQ4_NL -> Optional.of(SmallBlocks::iq4nl);
      case MXFP4 -> Optional.of(SmallBlocks::mxfp4);
      case Q2_K -> Optional.of(SuperBlocks::q2);
      case Q3_K -> Optional.of(SuperBlocks::q3);
      case Q4_K -> Optional.of(SuperBlocks::q4);
      case Q5_K -> Optional.of(SuperBlocks::q5);
      case Q6_K -> Optional.of(SuperBlocks::q6);
      case IQ4_XS -> Optional.of(SuperBlocks::iq4xs);
      case F32, F16, BF16, I8, I16, I32, I64, F64 -> Optional.empty();
      case Q8_1, Q8_K -> Optional.empty();
      case IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S, IQ1_S, IQ1_M -> Optional.empty();
      case TQ1_0, TQ2_0, NVFP4, Q1_0, Q2_0 -> Optional.empty();
      case Q4_0_R8, Q8_0_R8, Q4_K_R4, Q6_K_R4 -> Optional.empty();
    };
  }
}
