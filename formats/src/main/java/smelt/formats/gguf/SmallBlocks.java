package smelt.formats.gguf;

/// Blocks of 32 elements. Offsets and lengths in bytes; `d` and `m` are F16; `i` is an element, `q`
/// its code. Codes of 4 bits lie in 16 bytes, of which byte `j` has element `j` in the low nibble
/// and `j + 16` in the high one.
///
/// | type | bytes | element |
/// |---|---|---|
/// | Q8_0 | d 0:2, q INT8 2:32 | `q d` |
/// | Q4_0 | d 0:2, q 2:16 | `(q - 8) d` |
/// | Q4_1 | d 0:2, m 2:2, q 4:16 | `q d + m` |
/// | Q5_0 | d 0:2, fifth bits 2:4, q 6:16 | `(q - 16) d` |
/// | Q5_1 | d 0:2, m 2:2, fifth bits 4:4, q 8:16 | `q d + m` |
/// | IQ4_NL | d 0:2, q 2:16 | `d LEVELS[q]` |
/// | MXFP4 | e 0:1, q 1:16 | `E2M1[q] 2^(e - 128)` |
///
/// The fifth bit of element `i` is bit `i` of a little-endian number.
final class SmallBlocks {

  /// Elements of a block.
  static final int ELEMENTS = 32;

  /// What the codes of IQ4_NL and IQ4_XS stand for: finer near zero.
  private static final byte[] LEVELS = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113
  };

  /// What the codes of MXFP4 stand for, doubled so that they are whole.
  private static final byte[] E2M1 = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

  private static final int HALF = ELEMENTS / 2;

  private SmallBlocks() {}

  static void q8(byte[] block, float[] out) {
    float d = f16(block, 0);
    for (int i = 0; i < ELEMENTS; i++) {
      out[i] = block[2 + i] * d;
    }
  }

  static void q40(byte[] block, float[] out) {
    float d = f16(block, 0);
    for (int i = 0; i < ELEMENTS; i++) {
      out[i] = (nibble(block, 2, i) - 8) * d;
    }
  }

  static void q41(byte[] block, float[] out) {
    float d = f16(block, 0);
    float m = f16(block, 2);
    for (int i = 0; i < ELEMENTS; i++) {
      out[i] = nibble(block, 4, i) * d + m;
    }
  }

  static void q50(byte[] block, float[] out) {
    float d = f16(block, 0);
    for (int i = 0; i < ELEMENTS; i++) {
      out[i] = (nibble(block, 6, i) + 16 * bit(block, 2, i) - 16) * d;
    }
  }

  static void q51(byte[] block, float[] out) {
    float d = f16(block, 0);
    float m = f16(block, 2);
    for (int i = 0; i < ELEMENTS; i++) {
      out[i] = (nibble(block, 8, i) + 16 * bit(block, 4, i)) * d + m;
    }
  }

  static void iq4nl(byte[] block, float[] out) {
    float d = f16(block, 0);
    for (int i = 0; i < ELEMENTS; i++) {
      out[i] = d * level(nibble(block, 2, i));
    }
  }

  static void mxfp4(byte[] block, float[] out) {
    float d = halfOfE8m0(Byte.toUnsignedInt(block[0]));
    for (int i = 0; i < ELEMENTS; i++) {
      out[i] = E2M1[nibble(block, 1, i)] * d;
    }
  }

  /// What a code of IQ4_NL or IQ4_XS stands for.
  static int level(int code) {
    return LEVELS[code];
  }

  /// 2^(e - 128): half of what E8M0 stands for, since the table of codes is doubled. The least two
  /// are subnormal.
  static float halfOfE8m0(int e) {
    return Float.intBitsToFloat(e < 2 ? 0x0020_0000 << e : (e - 1) << 23);
  }

  static float f16(byte[] block, int at) {
    return Float.float16ToFloat((short) (Byte.toUnsignedInt(block[at]) | block[at + 1] << 8));
  }

  private static int nibble(byte[] block, int at, int i) {
    return block[at + i % HALF] >> i / HALF * 4 & 0xF;
  }

  private static int bit(byte[] block, int at, int i) {
    return block[at + i / Byte.SIZE] >> i % Byte.SIZE & 1;
  }
}
