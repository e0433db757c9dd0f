package smelt.formats.ggml;

import static smelt.formats.ggml.Layouts.F32;
import static smelt.formats.ggml.Layouts.U16;
import static smelt.formats.ggml.Layouts.U8;

import java.lang.foreign.MemorySegment;
import smelt.formats.gguf.GgmlType;

/// `Q3_K`: super-blocks of 256 elements in sixteen groups of 16, each with a scale `sc` of six
/// bits; element is `d (sc - 32) (q - 4)`.
///
/// | bytes | what |
/// |---|---|
/// | 32 | the third bit of the codes: of element `l + 32 k` bit `k` of byte `l` |
/// | 64 | their lower two bits ([TwoBits]) |
/// | 12 | `sc`: low four bits of group `g` and `g + 8` in byte `g`; upper two of `g` in byte `8 + g % 4`, from bit `2 (g / 4)` on |
/// | 2 | `d`, F16 |
///
/// Without importance a group is fitted by its own squares ([MovingFit]) and the scale of largest
/// magnitude becomes -32. With importance elements are weighed by that times `sqrt(2 s + x^2)`, `s`
/// the mean square of the super-block, and the scales are fitted with the groups' sums of weights.
/// Once the scales are rounded every element is rounded anew with them; a group of scale 0 keeps
/// the codes of the search.
final class ThreeBitSuperBlocks implements RowQuantizer {

  private static final int SUPER = 256;
  private static final int GROUP = 16;
  private static final int GROUPS = SUPER / GROUP;
  private static final int MIDDLE = 4;
  private static final int SCALE_MIDDLE = 32;
  private static final int BYTES = GgmlType.Q3_K.blockBytes();
  private static final SymmetricFit SCALES = new SymmetricFit(SCALE_MIDDLE);

  private final BlockKernels kernels;
  private final float[] importance;
  private final float[] x;
  private final float[] w;
  private final byte[] codes;
  private final float[] scales;
  private final float[] groupWeights;
  private final byte[] levels;

  ThreeBitSuperBlocks(BlockKernels kernels, float[] importance, int cols) {
    this.kernels = kernels;
    this.importance = importance;
    x = new float[cols];
    w = new float[importance.length];
    codes = new byte[cols];
    scales = new float[cols / GROUP];
    groupWeights = new float[cols / GROUP];
    levels = new byte[cols / GROUP];
  }

  @Override
  public int quantize(MemorySegment in, long inOffset, MemorySegment out, long outOffset) {
    MemorySegment.copy(in, F32, inOffset, x, 0, x.length);
    boolean weighted = importance.length > 0;
    if (weighted) {
      weigh();
      kernels.fit(new SymmetricFit(MIDDLE), GROUP, x, w, codes, scales);
    } else {
      MovingFit fit = new MovingFit(MIDDLE);
      for (int group = 0; group < scales.length; group++) {
        scales[group] = fit.fit(x, group * GROUP, GROUP, codes);
      }
    }
    for (int from = 0; from < x.length; from += SUPER) {
      int group = from / GROUP;
      float d = weighted ? SCALES.fit(scales, groupWeights, group, GROUPS, levels) : round(group);
      encode(from, d, out, outOffset + (long) from / SUPER * BYTES);
    }
    return RowQuantizer.largestBits(x);
  }

  private void weigh() {
    for (int from = 0; from < x.length; from += SUPER) {
      float square = 0;
      for (int i = from; i < from + SUPER; i++) {
        square += x[i] * x[i];
      }
      float mean = 2 * square / SUPER;
      for (int i = from; i < from + SUPER; i++) {
        w[i] = importance[i] * (float) Math.sqrt(mean + x[i] * x[i]);
      }
    }
    for (int group = 0; group < groupWeights.length; group++) {
      float sum = 0;
      for (int i = group * GROUP; i < (group + 1) * GROUP; i++) {
        sum += w[i];
      }
      groupWeights[group] = sum;
    }
  }

  /// Rounds the scales of a super-block to levels.
  ///
  /// @return the scale of the levels
  private float round(int group) {
    float extreme = RoundedBlock.extreme(scales, group, GROUPS);
    if (extreme == 0) {
      java.util.Arrays.fill(levels, group, group + GROUPS, (byte) 0);
      return 0;
    }
    float factor = -SCALE_MIDDLE / extreme;
    for (int g = group; g < group + GROUPS; g++) {
      int level = Round.clamp(Round.nearest(factor * scales[g]), -SCALE_MIDDLE, SCALE_MIDDLE - 1);
      levels[g] = (byte) (level + SCALE_MIDDLE);
    }
    return 1 / factor;
  }

  private void encode(int from, float d, MemorySegment out, long to) {
    int group = from / GROUP;
    short halfD = Float.floatToFloat16(d);
    for (int g = 0; g < GROUPS; g++) {
      float scale = Float.float16ToFloat(halfD) * (levels[group + g] - SCALE_MIDDLE);
      if (scale != 0) {
        kernels.round(x, from + g * GROUP, GROUP, 0, scale, -MIDDLE, MIDDLE - 1, MIDDLE, codes);
      }
    }
    for (int l = 0; l < 32; l++) {
      int thirds = 0;
      for (int k = 0; k < Byte.SIZE; k++) {
        thirds |= (codes[from + l + 32 * k] >> 2 & 1) << k;
      }
      out.set(U8, to + l, (byte) thirds);
    }
    TwoBits.pack(codes, from, out, to + 32);
    packLevels(group, out, to + 96);
    out.set(U16, to + BYTES - Short.BYTES, halfD);
  }

  private void packLevels(int group, MemorySegment out, long to) {
    for (int g = 0; g < 8; g++) {
      out.set(U8, to + g, (byte) (levels[group + g] & 15 | (levels[group + g + 8] & 15) << 4));
    }
    for (int g = 0; g < 4; g++) {
      int upper = 0;
      for (int k = 0; k < 4; k++) {
        upper |= levels[group + g + 4 * k] >> 4 << (2 * k);
      }
      out.set(U8, to + 8 + g, (byte) upper);
    }
  }
}
