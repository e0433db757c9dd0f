package smelt.calibrate.smooth;

import smelt.calibrate.observe.InputStats;

/// How large the largest magnitude of a token is, once every channel is divided by a factor: the
/// mean of its square over tokens, from what is known of each channel by itself.
///
/// Of a channel its largest magnitude `a` among `N` tokens and its mean square `m` are known. Its
/// tail is taken to be the one of this form that has both, and no more mass than its mean square
/// allows:
///
/// ```
/// P(|x| > t) = min(N ^ -((t / a) ^ k), m / t^2)
/// ```
///
/// with `k` from 0.5 (thicker than exponential) to 8 (nearly constant magnitude): `k` solves `a /
/// sqrt(m) = ln(N) ^ (1 / k) / sqrt(gamma(1 + 2 / k))`. Channels are taken to be independent:
///
/// ```
/// E max^2 = integral of 2 t (1 - exp(-sum P(|x| > t))) dt
/// ```
final class TokenMaximum {

  private static final double LEAST_SHAPE = 0.5;
  private static final double LARGEST_SHAPE = 8;
  private static final int SHAPES = 64;

  /// With fewer than 100 tokens the ratio below does not fall with `k` everywhere.
  private static final double LEAST_LOG_TOKENS = 4.6;

  private static final int STEPS = 24;

  /// Below so much of the largest channel's deviation every token's maximum lies above.
  private static final double CERTAIN = 0.25;

  private final double[] logAbsmax;
  private final double[] meanSquare;
  private final double[] shape;
  private final double logTokens;

  TokenMaximum(InputStats stats) {
    logTokens = Math.max(LEAST_LOG_TOKENS, StrictMath.log((double) stats.tokens()));
    float[] absmax = stats.channelAbsmax();
    float[] squares = stats.channelMeanSquare();
    int channels = stats.channels();
    logAbsmax = new double[channels];
    meanSquare = new double[channels];
    shape = new double[channels];
    double[] ratios = ratios();
    for (int c = 0; c < channels; c++) {
      logAbsmax[c] = StrictMath.log(absmax[c]);
      meanSquare[c] = squares[c];
      shape[c] = absmax[c] == 0 ? 1 : shape(absmax[c] / Math.sqrt(squares[c]), ratios);
    }
  }

  private static double shapeOf(int step) {
    return LEAST_SHAPE * StrictMath.pow(LARGEST_SHAPE / LEAST_SHAPE, step / (SHAPES - 1.0));
  }

  /// `a / sqrt(m)` of each shape, from large to small.
  private double[] ratios() {
    double[] ratios = new double[SHAPES];
    for (int i = 0; i < SHAPES; i++) {
      double k = shapeOf(i);
      ratios[i] = StrictMath.pow(logTokens, 1 / k) / Math.sqrt(gamma(1 + 2 / k));
    }
    return ratios;
  }

  private static double shape(double ratio, double[] ratios) {
    int step = 0;
    while (step < SHAPES - 1 && ratios[step] > ratio) {
      step++;
    }
    return shapeOf(step);
  }

  /// The gamma function by Stirling's series, moved to where that has nine digits.
  static double gamma(double x) {
    double divisor = 1;
    double z = x;
    while (z < 8) {
      divisor *= z;
      z++;
    }
    double log =
        (z - 0.5) * StrictMath.log(z)
            - z
            + 0.5 * StrictMath.log(2 * Math.PI)
            + 1 / (12 * z)
            - 1 / (360 * z * z * z)
            + 1 / (1260 * z * z * z * z * z);
    return StrictMath.exp(log) / divisor;
  }

  /// The mean over tokens of the square of the largest `|x| / factor`.
  double meanSquare(float[] factors) {
    double top = Double.NEGATIVE_INFINITY;
    double deviation = 0;
    double[] logs = new double[factors.length];
    double[] squares = new double[factors.length];
    for (int c = 0; c < factors.length; c++) {
      logs[c] = logAbsmax[c] - StrictMath.log(factors[c]);
      squares[c] = meanSquare[c] / ((double) factors[c] * factors[c]);
      top = Math.max(top, logs[c]);
      deviation = Math.max(deviation, squares[c]);
    }
    if (deviation == 0) {
      return 0;
    }
    double bottom = Math.min(top, 0.5 * StrictMath.log(deviation) + StrictMath.log(CERTAIN));
    double step = (top - bottom) / STEPS;
    double sum = StrictMath.exp(2 * bottom);
    for (int i = 0; i <= STEPS; i++) {
      double end = i == 0 || i == STEPS ? 0.5 : 1;
      double logT = bottom + i * step;
      double t = StrictMath.exp(logT);
      sum += end * step * 2 * t * t * above(logT, t * t, logs, squares);
    }
    return sum;
  }

  /// The chance that some channel of a token is above `t`.
  private double above(double logT, double squareOfT, double[] logs, double[] squares) {
    double expected = 0;
    for (int c = 0; c < logs.length; c++) {
      double exponent = shape[c] * (logT - logs[c]);
      double tail = exponent > 6 ? 0 : StrictMath.exp(-logTokens * StrictMath.exp(exponent));
      expected += Math.min(tail, squares[c] / squareOfT);
    }
    return 1 - StrictMath.exp(-expected);
  }
}
