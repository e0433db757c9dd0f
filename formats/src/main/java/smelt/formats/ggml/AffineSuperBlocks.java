package smelt.formats.ggml;

import static smelt.formats.ggml.Layouts.F32;
import static smelt.formats.ggml.Layouts.U16;
import static smelt.formats.ggml.Layouts.U8;

import java.lang.foreign.MemorySegment;
import smelt.formats.gguf.GgmlType;

/// `Q4_K` and `Q5_K`: super-blocks of 256 elements in eight groups of 32, each with a scale and a
/// least value of six bits; element is `d sc q - dmin m`.
///
/// | type | bytes |
/// |---|---|
/// | `Q4_K` | `d` 2, `dmin` 2, scales 12, `q` 128 |
/// | `Q5_K` | `d` 2, `dmin` 2, scales 12, `h` 32, `q` 128 |
///
/// Scales: bytes 0 to 3 hold `sc` of groups 0 to 3, bytes 4 to 7 their `m`, in the low six bits;
/// bytes 8 to 11 the low four bits of `sc` (low) and `m` (high) of groups 4 to 7, whose upper two
/// bits top bytes 0 to 3 and 4 to 7. Each 32 bytes of `q` hold the low four bits of two groups; bit
/// `g` of byte `l` of `h` is the fifth bit of element `l` of group `g`.
///
/// Elements are weighed by `a + |x|`, `a` the root mean square of the group; with importance by
/// that times `sqrt(2 s + x^2)`, `s` the mean square of the super-block. Once the scales are
/// rounded every element is rounded anew with them; a group of scale 0 keeps the codes of the
/// search.
final class AffineSuperBlocks implements RowQuantizer {

  private static final int SUPER = 256;
  private static final int GROUP = 32;
  private static final int GROUPS = SUPER / GROUP;
  private static final int TOP = 63;

  private final BlockKernels kernels;
  private final GgmlType type;
  private final AffineFit fit;
  private final float[] importance;
  private final float[] x;
  private final float[] w;
  private final byte[] codes;
  private final float[] scales;
  private final float[] mins;
  private final float[] groupWeights;
  private final byte[] scaleLevels = new byte[GROUPS];
  private final byte[] minLevels = new byte[GROUPS];

  AffineSuperBlocks(BlockKernels kernels, GgmlType type, float[] importance, int cols) {
    this.kernels = kernels;
    this.type = type;
    int largest = type == GgmlType.Q4_K ? 15 : 31;
    if (importance.length > 0) {
      fit = new AffineFit(largest, -0.9f, 0.05f, 36, false);
    } else if (type == GgmlType.Q4_K) {
      fit = new AffineFit(largest, -1f, 0.1f, 20, false);
    } else {
      fit = new AffineFit(largest, -0.5f, 0.1f, 15, false);
    }
    this.importance = importance;
    x = new float[cols];
    w = new float[cols];
    codes = new byte[cols];
    scales = new float[cols / GROUP];
    mins = new float[cols / GROUP];
    groupWeights = new float[cols / GROUP];
  }

  @Override
  public int quantize(MemorySegment in, long inOffset, MemorySegment out, long outOffset) {
    MemorySegment.copy(in, F32, inOffset, x, 0, x.length);
    weigh();
    kernels.fit(fit, GROUP, x, w, codes, mins, scales);
    for (int from = 0; from < x.length; from += SUPER) {
      encode(from, out, outOffset + (long) from / SUPER * type.blockBytes());
    }
    return RowQuantizer.largestBits(x);
  }

  private void weigh() {
    boolean weighted = importance.length > 0;
    int span = weighted ? SUPER : GROUP;
    for (int from = 0; from < x.length; from += span) {
      float sum = 0;
      for (int i = from; i < from + span; i++) {
        sum += x[i] * x[i];
      }
      float mean = weighted ? 2 * sum / SUPER : (float) Math.sqrt(sum / GROUP);
      for (int i = from; i < from + span; i++) {
        w[i] =
            weighted
                ? importance[i] * (float) Math.sqrt(mean + x[i] * x[i])
                : mean + Math.abs(x[i]);
      }
    }
    for (int group = 0; weighted && group < groupWeights.length; group++) {
      float sum = 0;
      for (int i = group * GROUP; i < (group + 1) * GROUP; i++) {
        sum += w[i];
      }
      groupWeights[group] = sum;
    }
  }

  private void encode(int from, MemorySegment out, long to) {
    int group = from / GROUP;
    float d;
    float dmin;
    if (importance.length > 0) {
      d = LevelFit.fit(TOP, scales, groupWeights, group, GROUPS, scaleLevels);
      dmin = LevelFit.fit(TOP, mins, groupWeights, group, GROUPS, minLevels);
    } else {
      d = round(scales, group, scaleLevels);
      dmin = round(mins, group, minLevels);
    }
    short halfD = Float.floatToFloat16(d);
    short halfMin = Float.floatToFloat16(dmin);
    out.set(U16, to, halfD);
    out.set(U16, to + Short.BYTES, halfMin);
    packLevels(out, to + 2 * Short.BYTES);
    for (int g = 0; g < GROUPS; g++) {
      float scale = Float.float16ToFloat(halfD) * (scaleLevels[g] & TOP);
      if (scale != 0) {
        float min = Float.float16ToFloat(halfMin) * (minLevels[g] & TOP);
        kernels.round(x, from + g * GROUP, GROUP, min, scale, 0, fit.largest(), 0, codes);
      }
    }
    packCodes(from, out, to + 2 * Short.BYTES + 12);
  }

  /// Rounds to levels of which the largest value gets the largest.
  ///
  /// @return the scale of the levels
  private static float round(float[] values, int from, byte[] levels) {
    float largest = 0;
    for (int g = 0; g < GROUPS; g++) {
      largest = Math.max(largest, values[from + g]);
    }
    float factor = largest > 0 ? TOP / largest : 0;
    for (int g = 0; g < GROUPS; g++) {
      levels[g] = (byte) Math.min(TOP, Round.nearest(factor * values[from + g]) & 0xFF);
    }
    return largest / TOP;
  }

  private void packLevels(MemorySegment out, long to) {
    for (int g = 0; g < GROUPS / 2; g++) {
      int scale = scaleLevels[g + 4] & 0xFF;
      int min = minLevels[g + 4] & 0xFF;
      out.set(U8, to + g, (byte) (scaleLevels[g] | scale >> 4 << 6));
      out.set(U8, to + 4 + g, (byte) (minLevels[g] | min >> 4 << 6));
      out.set(U8, to + 8 + g, (byte) (scale & 15 | (min & 15) << 4));
    }
  }

  private void packCodes(int from, MemorySegment out, long to) {
    long at = to;
    if (type == GgmlType.Q5_K) {
      for (int l = 0; l < GROUP; l++) {
        int fifths = 0;
        for (int g = 0; g < GROUPS; g++) {
          fifths |= codes[from + g * GROUP + l] >> 4 << g;
        }
        out.set(U8, at + l, (byte) fifths);
      }
      at += GROUP;
    }
    for (int pair = from; pair < from + SUPER; pair += 2 * GROUP) {
      for (int l = 0; l < GROUP; l++) {
        out.set(U8, at++, (byte) (codes[pair + l] & 15 | codes[pair + GROUP + l] << 4));
      }
    }
  }
}
