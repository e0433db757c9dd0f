package smelt.formats.ggml;

import java.util.Arrays;

/// Fits `scale code` to a group of elements, codes from `-middle` to `middle - 1`, by squares that
/// count as the elements' own squares: one rounding with the scale that makes the element of
/// largest magnitude `-middle`, then up to five rounds in which a code moves where that helps.
record MovingFit(int middle) {

  private static final int ROUNDS = 5;

  /// @param codes gets the codes plus `middle`, at the places of the elements; zeros for a group of
  ///   nothing
  /// @return the scale, of either sign
  float fit(float[] x, int from, int count, byte[] codes) {
    float extreme = RoundedBlock.extreme(x, from, count);
    if (Math.abs(extreme) < SymmetricFit.NOTHING) {
      Arrays.fill(codes, from, from + count, (byte) 0);
      return 0;
    }
    float factor = -middle / extreme;
    float sumXl = 0;
    float sumL2 = 0;
    for (int i = from; i < from + count; i++) {
      int l = code(factor * x[i]);
      codes[i] = (byte) l;
      float w = x[i] * x[i];
      sumXl += w * x[i] * l;
      sumL2 += w * l * l;
    }
    for (int round = 0, changed = 1; round < ROUNDS && changed > 0; round++) {
      changed = 0;
      for (int i = from; i < from + count; i++) {
        float w = x[i] * x[i];
        float slx = sumXl - w * x[i] * codes[i];
        if (slx > 0) {
          float sl2 = sumL2 - w * codes[i] * codes[i];
          int moved = code(x[i] * sl2 / slx);
          if (moved != codes[i]) {
            slx += w * x[i] * moved;
            sl2 += w * moved * moved;
            if (sl2 > 0 && slx * slx * sumL2 > sumXl * sumXl * sl2) {
              codes[i] = (byte) moved;
              sumXl = slx;
              sumL2 = sl2;
              changed++;
            }
          }
        }
      }
    }
    for (int i = from; i < from + count; i++) {
      codes[i] += (byte) middle;
    }
    return sumL2 > 0 ? sumXl / sumL2 : 0;
  }

  private int code(float value) {
    return Round.clamp(Round.nearest(value), -middle, middle - 1);
  }
}
