package smelt.formats.gguf;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.OptionalLong;

/// Where the numbers lie in a block that can be NaN or infinite: its scales, and minima. The codes
/// cannot, and no product of a finite F16 scale with codes and 6-bit scales leaves F32. So a tensor
/// is finite when these are.
///
/// | type | byte offsets of F16 numbers in a block |
/// |---|---|
/// | `Q4_0`, `Q5_0`, `Q8_0`, `IQ4_NL`, `IQ4_XS`, `IQ2_*`, `IQ3_*`, `IQ1_S`, `Q1_0`, `Q2_0` | 0 |
/// | `Q4_1`, `Q5_1`, `Q4_K`, `Q5_K` | 0 and 2 |
/// | `Q2_K` | 80 and 82 |
/// | `Q3_K` | 108 |
/// | `Q6_K` | 208 |
/// | `TQ1_0`, `TQ2_0` | 52, 64 |
/// | `Q4_0_R8`, `Q8_0_R8`, `Q6_K_R4`, `Q4_K_R4` | of all rows' blocks: 0, 2, 4 and so on, one a row, in `Q4_K_R4` two |
///
/// `MXFP4` has one exponent, of which 255 is NaN. The four pieces of a scale that `IQ1_M` has, and
/// the E4M3 scales of `NVFP4`, are not looked at.
public final class BlockScales {

  private static final ValueLayout.OfShort U16 =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfInt U32 =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private static final int F16_INFINITE = 0x7C00;
  private static final int BF16_INFINITE = 0x7F80;
  private static final int F32_INFINITE = 0x7F800000;
  private static final byte NO_EXPONENT = (byte) 0xFF;

  private BlockScales() {}

  /// Index of the first block of which a number is NaN or infinite; where rows are interleaved, of
  /// the first group of blocks.
  ///
  /// @param bytes whole blocks, or groups of them
  public static OptionalLong firstNonFinite(GgmlType type, MemorySegment bytes) {
    return switch (type) {
      case F32 -> first32(bytes);
      case F16 -> first16(bytes, Short.BYTES, F16_INFINITE, 0);
      case BF16 -> first16(bytes, Short.BYTES, BF16_INFINITE, 0);
      case Q4_0, Q5_0, Q8_0, IQ4_NL, IQ4_XS, Q1_0, Q2_0 -> scales(type, bytes, 0);
      case IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S, IQ1_S -> scales(type, bytes, 0);
      case Q4_1, Q5_1, Q4_K, Q5_K -> scales(type, bytes, 0, 2);
      case Q2_K -> scales(type, bytes, 80, 82);
      case Q3_K -> scales(type, bytes, 108);
      case Q6_K -> scales(type, bytes, 208);
      case TQ1_0 -> scales(type, bytes, 52);
      case TQ2_0 -> scales(type, bytes, 64);
      case Q4_0_R8, Q8_0_R8 -> scales(type, bytes, 0, 2, 4, 6, 8, 10, 12, 14);
      case Q6_K_R4 -> scales(type, bytes, 0, 2, 4, 6);
      case Q4_K_R4 -> scales(type, bytes, 0, 2, 4, 6, 8, 10, 12, 14);
      case MXFP4 -> exponents(type, bytes);
      case Q8_1, Q8_K, IQ1_M, NVFP4, I8, I16, I32, I64, F64 -> OptionalLong.empty();
    };
  }

  private static OptionalLong scales(GgmlType type, MemorySegment bytes, int... offsets) {
    return first16(bytes, type.groupBytes(), F16_INFINITE, offsets);
  }

  /// @param infinite the bits of the exponent when all are set
  private static OptionalLong first16(MemorySegment bytes, int step, int infinite, int... offsets) {
    long blocks = bytes.byteSize() / step;
    for (long i = 0; i < blocks; i++) {
      for (int offset : offsets) {
        if ((bytes.get(U16, i * step + offset) & infinite) == infinite) {
          return OptionalLong.of(i);
        }
      }
    }
    return OptionalLong.empty();
  }

  private static OptionalLong first32(MemorySegment bytes) {
    for (long i = 0; i < bytes.byteSize() / Float.BYTES; i++) {
      if ((bytes.get(U32, i * Float.BYTES) & F32_INFINITE) == F32_INFINITE) {
        return OptionalLong.of(i);
      }
    }
    return OptionalLong.empty();
  }

  private static OptionalLong exponents(GgmlType type, MemorySegment bytes) {
    for (long i = 0; i < bytes.byteSize() / type.blockBytes(); i++) {
      if (bytes.get(ValueLayout.JAVA_BYTE, i * type.blockBytes()) == NO_EXPONENT) {
        return OptionalLong.of(i);
      }
    }
    return OptionalLong.empty();
  }
}
