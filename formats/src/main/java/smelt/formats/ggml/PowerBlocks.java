package smelt.formats.ggml;

import static smelt.formats.ggml.Layouts.F32;
import static smelt.formats.ggml.Layouts.U8;

import java.lang.foreign.MemorySegment;
import smelt.formats.gguf.GgmlType;

/// `MXFP4`: blocks of 32 elements in E2M1 with a power of two; element is `E2M1[q] 2^(e - 128)`,
/// with the numbers of [#E2M1], which are doubled.
///
/// | bytes | what |
/// |---|---|
/// | 1 | `e`, unsigned |
/// | 16 | `q`, four bits: those of `j` and `j + 16` in byte `j` |
///
/// The power is the one of the largest magnitude, `e = floor(log2 amax) + 125`, with the logarithm
/// rounded to F32; a code is the first of those nearest to the element. There is no search, and
/// nothing is weighed. Magnitudes so small that `e` would be negative leave its low byte and codes
/// of 0, as ggml's own code does; where that byte would be 255, which stands for NaN, it is 0.
final class PowerBlocks implements RowQuantizer {

  private static final int[] E2M1 = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
  private static final int BLOCK = 32;
  private static final int NO_NUMBER = 255;

  private final float[] x;
  private final byte[] codes;

  PowerBlocks(int cols) {
    x = new float[cols];
    codes = new byte[cols];
  }

  @Override
  public int quantize(MemorySegment in, long inOffset, MemorySegment out, long outOffset) {
    MemorySegment.copy(in, F32, inOffset, x, 0, x.length);
    for (int from = 0; from < x.length; from += BLOCK) {
      encode(from, out, outOffset + (long) from / BLOCK * GgmlType.MXFP4.blockBytes());
    }
    return RowQuantizer.largestBits(x);
  }

  private void encode(int from, MemorySegment out, long to) {
    int e = exponent(Math.abs(RoundedBlock.extreme(x, from, BLOCK)));
    float scale = Float.intBitsToFloat(e < 2 ? 0x0020_0000 << e : (e - 1) << 23);
    out.set(U8, to, (byte) (e == NO_NUMBER ? 0 : e));
    for (int i = from; i < from + BLOCK; i++) {
      codes[i] = (byte) code(x[i], scale);
    }
    RoundedBlock.pack(4, codes, from, out, to + 1);
  }

  private static int exponent(float largest) {
    if (largest == 0) {
      return 0;
    }
    float logarithm = (float) (Math.log(largest) / Math.log(2));
    return (int) (Math.floor(logarithm) - 2 + 127) & 0xFF;
  }

  private static int code(float value, float scale) {
    int nearest = 0;
    float least = Math.abs(E2M1[0] * scale - value);
    for (int i = 1; i < E2M1.length; i++) {
      float off = Math.abs(E2M1[i] * scale - value);
      if (off < least) {
        nearest = i;
        least = off;
      }
    }
    return nearest;
  }
}
