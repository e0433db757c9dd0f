package smelt.formats.ggml;

import static smelt.formats.ggml.Layouts.U8;

import java.lang.foreign.MemorySegment;

/// Codes of two bits of a super-block: for each 128 elements, byte `l` of 32 holds those of `l`, `l
/// + 32`, `l + 64` and `l + 96`, from the low bits up.
final class TwoBits {

  private static final int SUPER = 256;
  private static final int BYTES = 32;

  private TwoBits() {}

  /// @param codes of which the low two bits are taken
  static void pack(byte[] codes, int from, MemorySegment out, long to) {
    for (int half = 0; half < SUPER; half += 4 * BYTES) {
      for (int l = 0; l < BYTES; l++) {
        int bits = 0;
        for (int k = 0; k < 4; k++) {
          bits |= (codes[from + half + l + BYTES * k] & 3) << (2 * k);
        }
        out.set(U8, to + half / 4 + l, (byte) bits);
      }
    }
  }
}
