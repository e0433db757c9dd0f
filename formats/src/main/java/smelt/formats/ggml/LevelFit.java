package smelt.formats.ggml;

import java.util.Arrays;

/// Fits `scale level` to the scales of a super-block, which are not negative, by weighted squares:
/// the best of nine roundings, then up to five rounds in which a level moves where that helps.
final class LevelFit {

  private static final float NOTHING = 1e-15f;
  private static final int ROUNDS = 5;

  private LevelFit() {}

  /// @param top the largest level
  /// @param levels gets the levels, unsigned
  /// @return the scale
  static float fit(int top, float[] x, float[] w, int from, int count, byte[] levels) {
    float largest = 0;
    for (int i = from; i < from + count; i++) {
      largest = Math.max(largest, x[i]);
    }
    if (largest < NOTHING) {
      Arrays.fill(levels, 0, count, (byte) 0);
      return 0;
    }
    float factor = factor(top, largest, x, w, from, count);
    float sumXl = 0;
    float sumL2 = 0;
    for (int i = 0; i < count; i++) {
      int l = Math.min(top, Round.nearest(factor * x[from + i]));
      levels[i] = (byte) l;
      sumXl += w[from + i] * x[from + i] * l;
      sumL2 += w[from + i] * l * l;
    }
    for (int round = 0, changed = 1; round < ROUNDS && changed > 0; round++) {
      changed = 0;
      for (int i = 0; i < count; i++) {
        float wi = w[from + i];
        float xi = x[from + i];
        int l = levels[i] & 0xFF;
        float slx = sumXl - wi * xi * l;
        float sl2 = sumL2 - wi * l * l;
        if (slx > 0 && sl2 > 0) {
          int moved = Math.min(top, Round.nearest(xi * sl2 / slx));
          if (moved != l) {
            slx += wi * xi * moved;
            sl2 += wi * moved * moved;
            if (slx * slx * sumL2 > sumXl * sumXl * sl2) {
              levels[i] = (byte) moved;
              sumXl = slx;
              sumL2 = sl2;
              changed++;
            }
          }
        }
      }
    }
    return sumL2 > 0 ? sumXl / sumL2 : 0;
  }

  private static float factor(int top, float largest, float[] x, float[] w, int from, int count) {
    float factor = top / largest;
    float best = error(255, factor, x, w, from, count);
    for (int s = -4; s <= 4; s++) {
      if (s == 0) {
        continue;
      }
      float tried = (0.1f * s + top) / largest;
      float error = error(top, tried, x, w, from, count);
      if (error < best) {
        best = error;
        factor = tried;
      }
    }
    return factor;
  }

  private static float error(int top, float factor, float[] x, float[] w, int from, int count) {
    float scale = 1 / factor;
    float sum = 0;
    for (int i = from; i < from + count; i++) {
      float off = x[i] - scale * Math.min(top, Round.nearest(factor * x[i]));
      sum += w[i] * off * off;
    }
    return sum;
  }
}
