package smelt.formats.ggml;

import static smelt.formats.ggml.Layouts.F32;
import static smelt.formats.ggml.Layouts.U16;

import java.lang.foreign.MemorySegment;
import smelt.formats.gguf.GgmlType;

/// `IQ4_NL` and `IQ4_XS`: codes of four bits that stand for the numbers of [#LEVELS], which are
/// finer near zero.
///
/// | type | elements | bytes | element |
/// |---|---|---|---|
/// | `IQ4_NL` | 32 | `d` 2, `q` 16 | `d LEVELS[q]` |
/// | `IQ4_XS` | 256 in groups of 32 | `d` 2, upper bits of `s` 2, lower 4, `q` 128 | `d (s - 32) LEVELS[q]` |
///
/// Each 16 bytes of `q` hold 32 codes, `j` and `j + 16` in byte `j`. The low four bits of `s` of
/// group `g` are nibble `g`, the upper two lie from bit `2 g` on.
///
/// The scale of a group is the best of 16 by weighted squares: the one that makes the element of
/// largest magnitude 127, then those that make it -134 to -120. Elements are weighed by their
/// squares, or by their importance times `sqrt(2 s + x^2)`, `s` the mean square of the block. Then
/// every element is rounded anew with the scale that is stored, before it becomes F16.
final class UnevenBlocks implements RowQuantizer {

  private static final int[] LEVELS = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113
  };
  private static final int GROUP = 32;
  private static final int TRIES = 7;

  private final GgmlType type;
  private final float[] importance;
  private final float[] x;
  private final float[] w;
  private final float[] scales;
  private final byte[] codes;

  UnevenBlocks(GgmlType type, float[] importance, int cols) {
    this.type = type;
    this.importance = importance;
    x = new float[cols];
    w = new float[cols];
    scales = new float[cols / GROUP];
    codes = new byte[cols];
  }

  @Override
  public int quantize(MemorySegment in, long inOffset, MemorySegment out, long outOffset) {
    MemorySegment.copy(in, F32, inOffset, x, 0, x.length);
    weigh();
    for (int group = 0; group < scales.length; group++) {
      scales[group] = fit(group * GROUP);
    }
    int block = type.blockElements();
    for (int from = 0; from < x.length; from += block) {
      long to = outOffset + (long) from / block * type.blockBytes();
      switch (type) {
        case IQ4_NL -> encode(from, out, to);
        default -> encodeSuper(from, out, to);
      }
    }
    return RowQuantizer.largestBits(x);
  }

  private void weigh() {
    int block = type.blockElements();
    for (int from = 0; from < x.length; from += block) {
      float square = 0;
      for (int i = from; i < from + block; i++) {
        square += x[i] * x[i];
      }
      square *= 2f / block;
      for (int i = from; i < from + block; i++) {
        w[i] =
            importance.length > 0
                ? importance[i] * (float) Math.sqrt(square + x[i] * x[i])
                : x[i] * x[i];
      }
    }
  }

  /// The scale of a group; 0 for one of nothing, or one in which nothing counts.
  private float fit(int from) {
    float extreme = RoundedBlock.extreme(x, from, GROUP);
    if (Math.abs(extreme) < SymmetricFit.NOTHING) {
      return 0;
    }
    float[] sums = new float[2];
    sums(from, 1 / (-extreme / LEVELS[0]), sums);
    float scale = sums[1] == 0 ? 0 : sums[0] / sums[1];
    float best = scale * sums[0];
    for (int tried = -TRIES; tried <= TRIES; tried++) {
      sums(from, (tried + LEVELS[0]) / extreme, sums);
      if (sums[1] > 0 && sums[0] * sums[0] > best * sums[1]) {
        scale = sums[0] / sums[1];
        best = scale * sums[0];
      }
    }
    return scale;
  }

  private void sums(int from, float factor, float[] sums) {
    float sumQx = 0;
    float sumQ2 = 0;
    for (int i = from; i < from + GROUP; i++) {
      float q = LEVELS[code(factor * x[i])];
      sumQx += w[i] * q * x[i];
      sumQ2 += w[i] * q * q;
    }
    sums[0] = sumQx;
    sums[1] = sumQ2;
  }

  /// The nearest level, of two as near the upper one.
  private static int code(float value) {
    if (value <= LEVELS[0]) {
      return 0;
    }
    int low = 0;
    int high = LEVELS.length - 1;
    if (value >= LEVELS[high]) {
      return high;
    }
    while (high - low > 1) {
      int middle = (low + high) / 2;
      if (value < LEVELS[middle]) {
        high = middle;
      } else {
        low = middle;
      }
    }
    return value - LEVELS[high - 1] < LEVELS[high] - value ? high - 1 : high;
  }

  private void encode(int from, MemorySegment out, long to) {
    float scale = scales[from / GROUP];
    out.set(U16, to, Float.floatToFloat16(scale));
    round(from, scale);
    RoundedBlock.pack(4, codes, from, out, to + Short.BYTES);
  }

  private void encodeSuper(int from, MemorySegment out, long to) {
    int groups = type.blockElements() / GROUP;
    float d = -RoundedBlock.extreme(scales, from / GROUP, groups) / 32;
    float reciprocal = d == 0 ? 0 : 1 / d;
    out.set(U16, to, Float.floatToFloat16(d));
    int upper = 0;
    int lower = 0;
    for (int g = 0; g < groups; g++) {
      int level = Round.clamp(Round.nearest(reciprocal * scales[from / GROUP + g]), -32, 31);
      round(from + g * GROUP, d * level);
      RoundedBlock.pack(4, codes, from + g * GROUP, out, to + 8 + (long) g * GROUP / 2);
      lower |= (level + 32 & 15) << (4 * g);
      upper |= level + 32 >> 4 << (2 * g);
    }
    out.set(U16, to + 2, (short) upper);
    out.set(Layouts.U32, to + 4, lower);
  }

  private void round(int from, float scale) {
    float reciprocal = scale == 0 ? 0 : 1 / scale;
    for (int i = from; i < from + GROUP; i++) {
      codes[i] = (byte) code(reciprocal * x[i]);
    }
  }
}
