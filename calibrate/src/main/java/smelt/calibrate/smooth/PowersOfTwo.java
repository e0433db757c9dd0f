package smelt.calibrate.smooth;

/// Factors that change nothing but exponents.
final class PowersOfTwo {

  private PowersOfTwo() {}

  /// The power of two that is nearest to each factor by ratio. Factors are normal and positive.
  static float[] nearest(float[] factors) {
    float[] nearest = new float[factors.length];
    for (int i = 0; i < factors.length; i++) {
      int exponent = Math.getExponent(factors[i]);
      boolean above = factors[i] > Math.scalb(Math.sqrt(2), exponent);
      nearest[i] = Math.scalb(1f, exponent + (above ? 1 : 0));
    }
    return nearest;
  }
}
