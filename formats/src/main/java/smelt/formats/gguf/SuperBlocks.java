package smelt.formats.gguf;

/// Blocks of 256 elements, cut into sub-blocks of 16 or 32 that have small scales of their own.
/// Offsets and lengths in bytes; `d` and `dmin` are F16; `i` is an element, `q` its code, `s` and
/// `m` the scale and minimum of its sub-block `b`.
///
/// | type | bytes | sub-block | element |
/// |---|---|---|---|
/// | Q2_K | s and m 0:16, q 16:64, d 80:2, dmin 82:2 | 16 | `(d s) q - dmin m` |
/// | Q3_K | third bits 0:32, q 32:64, s 96:12, d 108:2 | 16 | `(d (s - 32)) (q - 4)` |
/// | Q4_K | d 0:2, dmin 2:2, s and m 4:12, q 16:128 | 32 | `(d s) q - dmin m` |
/// | Q5_K | d 0:2, dmin 2:2, s and m 4:12, fifth bits 16:32, q 48:128 | 32 | `(d s) q - dmin m` |
/// | Q6_K | q 0:128, upper bits 128:64, s INT8 192:16, d 208:2 | 16 | `(d s) (q - 32)` |
/// | IQ4_XS | d 0:2, upper bits of s 2:2, lower 4:4, q 8:128 | 32 | `(d (s - 32)) LEVELS[q]` |
///
/// Where the bits lie:
///
/// - Codes of 2 bits: 128 elements in 32 bytes, of which byte `l` has elements `l`, `l + 32`, `l +
///   64`, `l + 96` from its lowest bits up. The upper 2 bits of Q6_K are kept likewise. The third
///   bit of Q3_K is bit `i / 32` of byte `i % 32`, the fifth one of Q5_K too.
/// - Codes of 4 bits: Q4_K and Q5_K keep 64 elements in 32 bytes, the first half in the low
///   nibbles; Q6_K keeps 128 in 64 bytes, likewise; IQ4_XS 32 in 16 bytes, likewise.
/// - Q2_K has `s` in the low nibble of byte `b`, `m` in the high one.
/// - Q3_K has the low nibbles of `s` in 8 bytes: `b` below 8 in the low nibbles, the others in the
///   high ones; its upper 2 bits in 4 more, laid out as codes of 2 bits are.
/// - Q4_K and Q5_K have `s` and `m` of 6 bits, see [#scale6] and [#minimum6].
/// - IQ4_XS has the low 4 bits of `s` in nibble `b`, the upper 2 at bit `2 b` of a little-endian
///   number.
final class SuperBlocks {

  /// Elements of a block.
  static final int ELEMENTS = 256;

  private SuperBlocks() {}

  static void q2(byte[] block, float[] out) {
    float d = SmallBlocks.f16(block, 80);
    float dmin = SmallBlocks.f16(block, 82);
    for (int i = 0; i < ELEMENTS; i++) {
      int both = Byte.toUnsignedInt(block[i / 16]);
      out[i] = d * (both & 0xF) * twoBits(block, 16, i) - dmin * (both >> 4);
    }
  }

  static void q3(byte[] block, float[] out) {
    float d = SmallBlocks.f16(block, 108);
    for (int i = 0; i < ELEMENTS; i++) {
      int q = twoBits(block, 32, i) + 4 * bitPlane(block, 0, i);
      out[i] = d * (scale3(block, 96, i / 16) - 32) * (q - 4);
    }
  }

  static void q4(byte[] block, float[] out) {
    float d = SmallBlocks.f16(block, 0);
    float dmin = SmallBlocks.f16(block, 2);
    for (int i = 0; i < ELEMENTS; i++) {
      int b = i / 32;
      out[i] = d * scale6(block, 4, b) * fourBits(block, 16, i, 32) - dmin * minimum6(block, 4, b);
    }
  }

  static void q5(byte[] block, float[] out) {
    float d = SmallBlocks.f16(block, 0);
    float dmin = SmallBlocks.f16(block, 2);
    for (int i = 0; i < ELEMENTS; i++) {
      int b = i / 32;
      int q = fourBits(block, 48, i, 32) + 16 * bitPlane(block, 16, i);
      out[i] = d * scale6(block, 4, b) * q - dmin * minimum6(block, 4, b);
    }
  }

  static void q6(byte[] block, float[] out) {
    float d = SmallBlocks.f16(block, 208);
    for (int i = 0; i < ELEMENTS; i++) {
      int q = fourBits(block, 0, i, 64) + 16 * twoBits(block, 128, i);
      out[i] = d * block[192 + i / 16] * (q - 32);
    }
  }

  static void iq4xs(byte[] block, float[] out) {
    float d = SmallBlocks.f16(block, 0);
    for (int i = 0; i < ELEMENTS; i++) {
      int b = i / 32;
      int low = block[4 + b / 2] >> b % 2 * 4 & 0xF;
      int high = block[2 + b / 4] >> b % 4 * 2 & 3;
      out[i] = d * ((low | high << 4) - 32) * SmallBlocks.level(fourBits(block, 8, i, 16));
    }
  }

  /// The scale of a sub-block of Q4_K and Q5_K: the low 6 bits of bytes 0 to 3 for the first four;
  /// for the others the low nibbles of bytes 8 to 11, below the upper 2 bits of bytes 0 to 3.
  static int scale6(byte[] block, int at, int b) {
    return b < 4 ? block[at + b] & 63 : block[at + b + 4] & 0xF | block[at + b - 4] >> 2 & 0x30;
  }

  /// The minimum of a sub-block of Q4_K and Q5_K: as its scale, from bytes 4 to 7 and the high
  /// nibbles of bytes 8 to 11.
  static int minimum6(byte[] block, int at, int b) {
    return b < 4
        ? block[at + b + 4] & 63
        : block[at + b + 4] >> 4 & 0xF | block[at + b] >> 2 & 0x30;
  }

  private static int scale3(byte[] block, int at, int b) {
    int low = block[at + b % 8] >> b / 8 * 4 & 0xF;
    int high = block[at + 8 + b % 4] >> b / 4 * 2 & 3;
    return low | high << 4;
  }

  private static int twoBits(byte[] block, int at, int i) {
    return block[at + i / 128 * 32 + i % 32] >> i / 32 % 4 * 2 & 3;
  }

  /// @param run elements that have the low nibbles of as many bytes
  private static int fourBits(byte[] block, int at, int i, int run) {
    return block[at + i / (2 * run) * run + i % run] >> i / run % 2 * 4 & 0xF;
  }

  private static int bitPlane(byte[] block, int at, int i) {
    return block[at + i % 32] >> i / 32 & 1;
  }
}
