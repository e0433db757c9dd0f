package smelt.formats.ggml;

import static smelt.formats.ggml.Layouts.F32;
import static smelt.formats.ggml.Layouts.U16;
import static smelt.formats.ggml.Layouts.U8;

import java.lang.foreign.MemorySegment;
import smelt.formats.gguf.GgmlType;

/// `Q6_K`: super-blocks of 256 elements in sixteen groups of 16, each with a scale `sc` of eight
/// bits; element is `d sc (q - 32)`.
///
/// | bytes | what |
/// |---|---|
/// | 128 | low four bits of the codes |
/// | 64 | upper two bits |
/// | 16 | `sc`, INT8 |
/// | 2 | `d`, F16 |
///
/// For each 128 elements, byte `l` of 64 holds the low bits of elements `l` and `l + 64`; byte `l`
/// of 32 the upper bits of `l`, `l + 32`, `l + 64` and `l + 96`, from the low bits up.
///
/// Elements are weighed by their squares, or by their importance alone. Once the scales are rounded
/// every element is rounded anew with them; a group of scale 0 keeps the codes of the search.
final class SymmetricSuperBlocks implements RowQuantizer {

  private static final int SUPER = 256;
  private static final int GROUP = 16;
  private static final int GROUPS = SUPER / GROUP;
  private static final int MIDDLE = 32;
  private static final float NOTHING = 1e-15f;
  private static final int BYTES = GgmlType.Q6_K.blockBytes();

  private final BlockKernels kernels;
  private final SymmetricFit fit = new SymmetricFit(MIDDLE);
  private final boolean weighted;
  private final float[] x;
  private final float[] w;
  private final byte[] codes;
  private final float[] scales;

  SymmetricSuperBlocks(BlockKernels kernels, float[] importance, int cols) {
    this.kernels = kernels;
    weighted = importance.length > 0;
    x = new float[cols];
    w = weighted ? importance : new float[cols];
    codes = new byte[cols];
    scales = new float[cols / GROUP];
  }

  @Override
  public int quantize(MemorySegment in, long inOffset, MemorySegment out, long outOffset) {
    MemorySegment.copy(in, F32, inOffset, x, 0, x.length);
    for (int i = 0; !weighted && i < x.length; i++) {
      w[i] = x[i] * x[i];
    }
    kernels.fit(fit, GROUP, x, w, codes, scales);
    for (int from = 0; from < x.length; from += SUPER) {
      encode(from, out, outOffset + (long) from / SUPER * BYTES);
    }
    return RowQuantizer.largestBits(x);
  }

  private void encode(int from, MemorySegment out, long to) {
    float extreme = RoundedBlock.extreme(scales, from / GROUP, GROUPS);
    if (Math.abs(extreme) < NOTHING) {
      out.asSlice(to, BYTES).fill((byte) 0);
      return;
    }
    float factor = -128f / extreme;
    short halfD = Float.floatToFloat16(1 / factor);
    out.set(U16, to + BYTES - Short.BYTES, halfD);
    for (int g = 0; g < GROUPS; g++) {
      byte level = (byte) Math.min(127, Round.nearest(factor * scales[from / GROUP + g]));
      out.set(U8, to + 192 + g, level);
      float scale = Float.float16ToFloat(halfD) * level;
      if (scale != 0) {
        kernels.round(x, from + g * GROUP, GROUP, 0, scale, -MIDDLE, MIDDLE - 1, MIDDLE, codes);
      }
    }
    pack(from, out, to);
    pack(from + SUPER / 2, out, to + 64);
  }

  /// The codes of 128 elements.
  private void pack(int from, MemorySegment out, long to) {
    long upper = from % SUPER == 0 ? to + 128 : to - 64 + 128 + 32;
    for (int l = 0; l < 64; l++) {
      int low = codes[from + l];
      out.set(U8, to + l, (byte) (low & 15 | (codes[from + l + 64] & 15) << 4));
    }
    for (int l = 0; l < 32; l++) {
      int bits = 0;
      for (int k = 0; k < 4; k++) {
        bits |= codes[from + l + 32 * k] >> 4 << (2 * k);
      }
      out.set(U8, upper + l, (byte) bits);
    }
  }
}
