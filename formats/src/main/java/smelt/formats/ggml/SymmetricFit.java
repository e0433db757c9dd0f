package smelt.formats.ggml;

import java.util.Arrays;

/// Fits `scale code` to a group of elements, codes from `-middle` to `middle - 1`: the best of 19
/// roundings by weighted squares, with scales around the one that makes the element of largest
/// magnitude `-middle`.
record SymmetricFit(int middle) {

  /// A magnitude below which a group is taken for zeros.
  static final float NOTHING = 1e-15f;

  /// @param codes gets the codes plus `middle`, at the places of the elements
  /// @return the scale, of either sign
  float fit(float[] x, float[] w, int from, int count, byte[] codes) {
    float extreme = RoundedBlock.extreme(x, from, count);
    if (Math.abs(extreme) < NOTHING) {
      Arrays.fill(codes, from, from + count, (byte) 0);
      return 0;
    }
    float bestFactor = -middle / extreme;
    float[] sums = new float[2];
    sums(x, w, from, count, bestFactor, sums);
    float scale = sums[1] == 0 ? 0 : sums[0] / sums[1];
    float best = scale * sums[0];
    for (int s = -9; s <= 9; s++) {
      if (s == 0) {
        continue;
      }
      float factor = -(middle + 0.1f * s) / extreme;
      sums(x, w, from, count, factor, sums);
      if (sums[1] > 0 && sums[0] * sums[0] > best * sums[1]) {
        bestFactor = factor;
        scale = sums[0] / sums[1];
        best = scale * sums[0];
      }
    }
    for (int i = from; i < from + count; i++) {
      codes[i] = (byte) (code(bestFactor, x[i]) + middle);
    }
    return scale;
  }

  private void sums(float[] x, float[] w, int from, int count, float factor, float[] sums) {
    float sumXl = 0;
    float sumL2 = 0;
    for (int i = from; i < from + count; i++) {
      int l = code(factor, x[i]);
      sumXl += w[i] * x[i] * l;
      sumL2 += w[i] * l * l;
    }
    sums[0] = sumXl;
    sums[1] = sumL2;
  }

  private int code(float factor, float x) {
    return Round.clamp(Round.nearest(factor * x), -middle, middle - 1);
  }
}
