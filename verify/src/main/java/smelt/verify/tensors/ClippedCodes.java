package smelt.verify.tensors;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import smelt.formats.ElementType;

/// Counts codes at either end of their type's range, eight at a time.
///
/// | type | codes |
/// |---|---|
/// | INT8 | 127 (`0x7F`), -127 (`0x81`), and -128 (`0x80`), which no converter should write |
/// | E4M3 | 448 (`0x7E`), -448 (`0xFE`) |
/// | E5M2 | 57344 (`0x7B`), -57344 (`0xFB`) |
/// | INT4 | 7, -7 and -8: stored 15, 1 and 0 |
final class ClippedCodes {

  private static final ValueLayout.OfLong U64 =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private static final long ONES = 0x0101010101010101L;
  private static final long SIGNS = 0x8080808080808080L;
  private static final long MAGNITUDES = ~SIGNS;

  private ClippedCodes() {}

  /// @param type that of the tensor of codes, one that has scales; I32 holds INT4
  /// @param count bytes of codes
  static long count(ElementType type, MemorySegment codes, long count) {
    return switch (type) {
      case I8 -> int8(codes, count);
      case F8_E4M3 -> magnitude(0x7E, codes, count);
      case F8_E5M2 -> magnitude(0x7B, codes, count);
      case I32 -> int4(codes, count);
      default -> throw new IllegalArgumentException("no ends of a range for " + type);
    };
  }

  private static long magnitude(int code, MemorySegment codes, long count) {
    long wanted = code * ONES;
    long whole = count & -Long.BYTES;
    long found = 0;
    for (long i = 0; i < whole; i += Long.BYTES) {
      found += zeroBytes((codes.get(U64, i) & MAGNITUDES) ^ wanted);
    }
    for (long i = whole; i < count; i++) {
      found += (codes.get(ValueLayout.JAVA_BYTE, i) & 0x7F) == code ? 1 : 0;
    }
    return found;
  }

  /// A stored half is 0, 1 or 15 when one more than it, in four bits, is at most 2.
  private static long int4(MemorySegment codes, long bytes) {
    long found = 0;
    for (long i = 0; i < bytes; i++) {
      int pair = codes.get(ValueLayout.JAVA_BYTE, i);
      found += (pair + 1 & 15) <= 2 ? 1 : 0;
      found += ((pair >> 4) + 1 & 15) <= 2 ? 1 : 0;
    }
    return found;
  }

  private static long int8(MemorySegment codes, long count) {
    long whole = count & -Long.BYTES;
    long found = 0;
    for (long i = 0; i < whole; i += Long.BYTES) {
      long eight = codes.get(U64, i);
      found += zeroBytes(eight ^ MAGNITUDES) + zeroBytes((eight ^ SIGNS) & ~ONES);
    }
    for (long i = whole; i < count; i++) {
      found += Math.abs((int) codes.get(ValueLayout.JAVA_BYTE, i)) >= 127 ? 1 : 0;
    }
    return found;
  }

  /// How many of the eight bytes are zero. A byte's sign bit of the sum is set when any other bit
  /// of it is, and no sum carries into the next byte.
  private static int zeroBytes(long bytes) {
    long other = ((bytes & MAGNITUDES) + MAGNITUDES) | bytes;
    return Long.SIZE / Byte.SIZE - Long.bitCount(other & SIGNS);
  }
}
