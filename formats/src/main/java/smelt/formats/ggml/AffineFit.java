package smelt.formats.ggml;

import java.util.Arrays;

/// Fits `scale code + least` to a group of elements, `least <= 0`, codes from 0 to `largest`: least
/// weighted squares (or magnitudes) over `steps + 1` roundings, each with a slightly other scale
/// from that of the extremes. A better fit replaces `least`, and the next roundings start from it.
///
/// @param largest the largest code
/// @param first what is added to `largest` in the first rounding
/// @param step what more is added in each next one
/// @param steps roundings after the first
/// @param absolute whether magnitudes of errors are summed, not squares
record AffineFit(int largest, float first, float step, int steps, boolean absolute) {

  /// @param codes gets the codes, at the places of the elements
  /// @param mins gets `-least` at `group`
  /// @return the scale
  float fit(float[] x, float[] w, int from, int count, byte[] codes, float[] mins, int group) {
    float least = x[from];
    float most = x[from];
    float sumW = 0;
    float sumX = 0;
    for (int i = from; i < from + count; i++) {
      least = x[i] < least ? x[i] : least;
      most = x[i] > most ? x[i] : most;
      sumW += w[i];
      sumX += w[i] * x[i];
    }
    least = least > 0 ? 0 : least;
    mins[group] = -least;
    if (most <= least) {
      Arrays.fill(codes, from, from + count, (byte) 0);
      return 0;
    }
    float scale = 1 / (largest / (most - least));
    float bestFactor = largest / (most - least);
    float bestLeast = least;
    float best = error(x, w, from, count, bestFactor, least, scale, least);
    for (int s = 0; s <= steps; s++) {
      float factor = (first + step * s + largest) / (most - least);
      float sumL = 0;
      float sumL2 = 0;
      float sumXl = 0;
      for (int i = from; i < from + count; i++) {
        int l = code(factor, x[i], least);
        sumL += w[i] * l;
        sumL2 += w[i] * l * l;
        sumXl += w[i] * l * x[i];
      }
      float determinant = sumW * sumL2 - sumL * sumL;
      if (determinant > 0) {
        float thisScale = (sumW * sumXl - sumX * sumL) / determinant;
        float thisLeast = (sumL2 * sumX - sumL * sumXl) / determinant;
        if (thisLeast > 0) {
          thisLeast = 0;
          thisScale = sumXl / sumL2;
        }
        float error = error(x, w, from, count, factor, least, thisScale, thisLeast);
        if (error < best) {
          best = error;
          bestFactor = factor;
          bestLeast = least;
          scale = thisScale;
          least = thisLeast;
        }
      }
    }
    for (int i = from; i < from + count; i++) {
      codes[i] = (byte) code(bestFactor, x[i], bestLeast);
    }
    mins[group] = -least;
    return scale;
  }

  private int code(float factor, float x, float least) {
    return Round.clamp(Round.nearest(factor * (x - least)), 0, largest);
  }

  /// Of the codes that `factor` and `codeLeast` give.
  private float error(
      float[] x,
      float[] w,
      int from,
      int count,
      float factor,
      float codeLeast,
      float scale,
      float least) {
    float sum = 0;
    for (int i = from; i < from + count; i++) {
      float off = scale * code(factor, x[i], codeLeast) + least - x[i];
      sum += w[i] * (absolute ? Math.abs(off) : off * off);
    }
    return sum;
  }
}
