package smelt.formats.codec;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/// Looks at packed 4-bit codes as [Encoding.Int4] stores them.
public final class Int4Codes {

  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;
  private static final long LOWEST = 0x1111111111111111L;

  private Int4Codes() {}

  /// How many codes are -8, which is stored as 0.
  ///
  /// @param bytes bytes of codes from `offset` on
  public static long countLeast(MemorySegment codes, long offset, long bytes) {
    long used = 0;
    long i = 0;
    for (; i <= bytes - Long.BYTES; i += Long.BYTES) {
      used += used(codes.get(LONG, offset + i));
    }
    for (; i < bytes; i++) {
      used += used(codes.get(ValueLayout.JAVA_BYTE, offset + i) & 0xFF);
    }
    return 2 * bytes - used;
  }

  /// Halves of bytes that are not 0.
  private static int used(long codes) {
    long pairs = codes | codes >>> 1;
    return Long.bitCount((pairs | pairs >>> 2) & LOWEST);
  }
}
