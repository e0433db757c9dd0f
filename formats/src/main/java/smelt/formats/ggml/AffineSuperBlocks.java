package smelt.formats.ggml;

import static smelt.formats.ggml.Layouts.F32;
import static smelt.formats.ggml.Layouts.U16;
import static smelt.formats.ggml.Layouts.U8;

import java.lang.foreign.MemorySegment;
import smelt.formats.gguf.GgmlType;

/// `Q2_K`, `Q4_K` and `Q5_K`: super-blocks of 256 elements in groups, each with a scale and a least
/// value of few bits; element is `d sc q - dmin m`.
///
/// | type | groups | bytes |
/// |---|---|---|
/// | `Q2_K` | 16 of 16, scales of four bits | scales 16, `q` 64, `d` 2, `dmin` 2 |
/// | `Q4_K` | 8 of 32, scales of six bits | `d` 2, `dmin` 2, scales 12, `q` 128 |
/// | `Q5_K` | 8 of 32, scales of six bits | `d` 2, `dmin` 2, scales 12, `h` 32, `q` 128 |
///
/// `Q2_K` has `sc` in the low four bits of byte `g`, `m` in the high ones; byte `l` of 32 has the
/// codes of elements `l`, `l + 32`, `l + 64` and `l + 96` of 128, from the low bits up.
///
/// The others' scales: bytes 0 to 3 hold `sc` of groups 0 to 3, bytes 4 to 7 their `m`, in the low
/// six bits; bytes 8 to 11 the low four bits of `sc` (low) and `m` (high) of groups 4 to 7, whose
/// upper two bits top bytes 0 to 3 and 4 to 7. Each 32 bytes of `q` hold the low four bits of two
/// groups; bit `g` of byte `l` of `h` is the fifth bit of element `l` of group `g`.
///
/// Elements are weighed by `a + |x|`, `a` the root mean square of the group (in `Q2_K` by `|x|`,
/// and magnitudes of errors are summed); with importance by that times `sqrt(2 s + x^2)`, `s` the
/// mean square of the super-block (in `Q2_K` `sqrt(s + x^2)`). Once the scales are rounded every
/// element is rounded anew with them; a group of scale 0 keeps the codes of the search.
final class AffineSuperBlocks implements RowQuantizer {

  private static final int SUPER = 256;
  private final BlockKernels kernels;
  private final GgmlType type;
  private final AffineFit fit;

  /// Elements of a group.
  private final int size;

  private final int groups;

  /// The largest level of a scale.
  private final int top;

  private final float[] importance;
  private final float[] x;
  private final float[] w;
  private final byte[] codes;
  private final float[] scales;
  private final float[] mins;
  private final float[] groupWeights;
  private final byte[] scaleLevels;
  private final byte[] minLevels;

  AffineSuperBlocks(BlockKernels kernels, GgmlType type, float[] importance, int cols) {
    this.kernels = kernels;
    this.type = type;
    fit = fit(type, importance.length > 0);
    size = type == GgmlType.Q2_K ? 16 : 32;
    groups = SUPER / size;
    top = type == GgmlType.Q2_K ? 15 : 63;
    scaleLevels = new byte[groups];
    minLevels = new byte[groups];
    this.importance = importance;
    x = new float[cols];
    w = new float[cols];
    codes = new byte[cols];
    scales = new float[cols / size];
    mins = new float[cols / size];
    groupWeights = new float[cols / size];
  }

  private static AffineFit fit(GgmlType type, boolean weighted) {
    int largest =
        switch (type) {
          case Q2_K -> 3;
          case Q4_K -> 15;
          default -> 31;
        };
    if (weighted) {
      return new AffineFit(largest, -0.9f, 0.05f, 36, false);
    }
    return type == GgmlType.Q4_K
        ? new AffineFit(largest, -1f, 0.1f, 20, false)
        : new AffineFit(largest, -0.5f, 0.1f, 15, type == GgmlType.Q2_K);
  }

  @Override
  public int quantize(MemorySegment in, long inOffset, MemorySegment out, long outOffset) {
    MemorySegment.copy(in, F32, inOffset, x, 0, x.length);
    weigh();
    kernels.fit(fit, size, x, w, codes, mins, scales);
    for (int from = 0; from < x.length; from += SUPER) {
      encode(from, out, outOffset + (long) from / SUPER * type.blockBytes());
    }
    return RowQuantizer.largestBits(x);
  }

  private void weigh() {
    boolean weighted = importance.length > 0;
    boolean small = type == GgmlType.Q2_K;
    int span = weighted ? SUPER : size;
    for (int from = 0; from < x.length; from += span) {
      float sum = 0;
      for (int i = from; i < from + span; i++) {
        sum += x[i] * x[i];
      }
      float mean;
      if (weighted) {
        mean = small ? sum / SUPER : 2 * sum / SUPER;
      } else {
        mean = small ? 0 : (float) Math.sqrt(sum / size);
      }
      for (int i = from; i < from + span; i++) {
        w[i] =
            weighted
                ? importance[i] * (float) Math.sqrt(mean + x[i] * x[i])
                : mean + Math.abs(x[i]);
      }
    }
    for (int group = 0; weighted && group < groupWeights.length; group++) {
      float sum = 0;
      for (int i = group * size; i < (group + 1) * size; i++) {
        sum += w[i];
      }
      groupWeights[group] = sum;
    }
  }

  private void encode(int from, MemorySegment out, long to) {
    int group = from / size;
    float d;
    float dmin;
    if (importance.length > 0) {
      d = LevelFit.fit(top, scales, groupWeights, group, groups, scaleLevels);
      dmin = LevelFit.fit(top, mins, groupWeights, group, groups, minLevels);
    } else {
      d = round(scales, group, scaleLevels);
      dmin = round(mins, group, minLevels);
    }
    short halfD = Float.floatToFloat16(d);
    short halfMin = Float.floatToFloat16(dmin);
    for (int g = 0; g < groups; g++) {
      float scale = Float.float16ToFloat(halfD) * (scaleLevels[g] & top);
      if (scale != 0) {
        float min = Float.float16ToFloat(halfMin) * (minLevels[g] & top);
        kernels.round(x, from + g * size, size, min, scale, 0, fit.largest(), 0, codes);
      }
    }
    if (type == GgmlType.Q2_K) {
      for (int g = 0; g < groups; g++) {
        out.set(U8, to + g, (byte) (scaleLevels[g] & 15 | minLevels[g] << 4));
      }
      TwoBits.pack(codes, from, out, to + groups);
      setScales(halfD, halfMin, out, to + groups + SUPER / 4);
    } else {
      setScales(halfD, halfMin, out, to);
      packLevels(out, to + 2 * Short.BYTES);
      packCodes(from, out, to + 2 * Short.BYTES + 12);
    }
  }

  private static void setScales(short d, short dmin, MemorySegment out, long to) {
    out.set(U16, to, d);
    out.set(U16, to + Short.BYTES, dmin);
  }

  /// Rounds to levels of which the largest value gets the largest.
  ///
  /// @return the scale of the levels
  private float round(float[] values, int from, byte[] levels) {
    float largest = 0;
    for (int g = 0; g < groups; g++) {
      largest = Math.max(largest, values[from + g]);
    }
    float factor = largest > 0 ? top / largest : 0;
    for (int g = 0; g < groups; g++) {
      levels[g] = (byte) Math.min(top, Round.nearest(factor * values[from + g]) & 0xFF);
    }
    return largest / top;
  }

  private void packLevels(MemorySegment out, long to) {
    for (int g = 0; g < groups / 2; g++) {
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
      for (int l = 0; l < size; l++) {
        int fifths = 0;
        for (int g = 0; g < groups; g++) {
          fifths |= codes[from + g * size + l] >> 4 << g;
        }
        out.set(U8, at + l, (byte) fifths);
      }
      at += size;
    }
    for (int pair = from; pair < from + SUPER; pair += 2 * size) {
      for (int l = 0; l < size; l++) {
        out.set(U8, at++, (byte) (codes[pair + l] & 15 | codes[pair + size + l] << 4));
      }
    }
  }
}
