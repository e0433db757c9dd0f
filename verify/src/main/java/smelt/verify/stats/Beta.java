package smelt.verify.stats;

/// The regularized incomplete beta function `I_x(a, b)`, from which the limits of proportions and
/// Student's t follow. Relative error about 1e-12 for parameters up to a million.
final class Beta {

  /// Lanczos coefficients for `g = 7`, nine terms.
  private static final double[] LANCZOS = {
    0.9999999999998099,
    676.5203681218851,
    -1259.1392167224028,
    771.3234287776531,
    -176.6150291621406,
    12.507343278686905,
    -0.13857109526572012,
    9.984369578019572e-6,
    1.5056327351493116e-7
  };

  private static final double HALF_LOG_TWO_PI = 0.9189385332046728;
  private static final double TINY = 1e-300;
  private static final int MAX_TERMS = 1_000_000;

  private Beta() {}

  /// @param x from 0 to 1
  /// @param a above 0, need not be whole
  /// @param b above 0, need not be whole
  static double regularized(double x, double a, double b) {
    if (x <= 0) {
      return 0;
    }
    if (x >= 1) {
      return 1;
    }
    double logFront =
        logGamma(a + b)
            - logGamma(a)
            - logGamma(b)
            + a * StrictMath.log(x)
            + b * StrictMath.log1p(-x);
    double front = StrictMath.exp(logFront);
    return x < (a + 1) / (a + b + 2)
        ? front * continuedFraction(x, a, b) / a
        : 1 - front * continuedFraction(1 - x, b, a) / b;
  }

  /// The `x` with `I_x(a, b) = probability`, by bisection down to neighbouring doubles.
  static double quantile(double probability, double a, double b) {
    double low = 0;
    double high = 1;
    while (true) {
      double middle = low + (high - low) / 2;
      if (middle <= low || middle >= high) {
        return middle;
      }
      if (regularized(middle, a, b) < probability) {
        low = middle;
      } else {
        high = middle;
      }
    }
  }

  /// @param x at least 0.5
  private static double logGamma(double x) {
    double sum = LANCZOS[0];
    for (int i = 1; i < LANCZOS.length; i++) {
      sum += LANCZOS[i] / (x - 1 + i);
    }
    double t = x + 6.5;
    return HALF_LOG_TWO_PI + (x - 0.5) * StrictMath.log(t) - t + StrictMath.log(sum);
  }

  /// The continued fraction 26.5.8 of Abramowitz and Stegun, evaluated forwards (Lentz).
  private static double continuedFraction(double x, double a, double b) {
    double c = 1;
    double d = 1 / nonZero(1 - (a + b) * x / (a + 1));
    double result = d;
    for (int m = 1; m <= MAX_TERMS; m++) {
      double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
      d = 1 / nonZero(1 + even * d);
      c = nonZero(1 + even / c);
      result *= d * c;
      double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
      d = 1 / nonZero(1 + odd * d);
      c = nonZero(1 + odd / c);
      double step = d * c;
      result *= step;
      if (Math.abs(step - 1) < 1e-15) {
        return result;
      }
    }
    throw new ArithmeticException("no convergence at x " + x + ", a " + a + ", b " + b);
  }

  private static double nonZero(double x) {
    return Math.abs(x) < TINY ? TINY : x;
  }
}
