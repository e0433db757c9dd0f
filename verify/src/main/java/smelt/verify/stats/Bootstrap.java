package smelt.verify.stats;

import java.util.Arrays;

/// Resampling of whole clusters, with replacement, `G` of `G`, [#RESAMPLES] times: limits of a
/// ratio of sums over clusters, such as a mean over tokens.
final class Bootstrap {

  static final int RESAMPLES = 2000;

  private final double[] sums;
  private final double[] sizes;
  private final RatioOfSums observed;

  /// @param sums numerator of each cluster
  /// @param sizes its denominator, such as its tokens
  Bootstrap(double[] sums, double[] sizes) {
    this.sums = sums;
    this.sizes = sizes;
    this.observed = RatioOfSums.of(sums, sizes);
  }

  /// The upper limit by the studentized bootstrap: `ratio - t standardError`, with `t` the `1 -
  /// confidence` quantile of `(ratio* - ratio) / standardError*` over the resamples. Infinite where
  /// a few clusters hold so much of the sum that resamples without them show no spread at all.
  double studentizedUpper(double confidence) {
    double[] t = new double[RESAMPLES];
    SplitMix random = new SplitMix(SplitMix.SEED);
    for (int i = 0; i < RESAMPLES; i++) {
      Draw draw = draw(random);
      double gap = draw.ratio() - observed.ratio();
      t[i] = gap == 0 ? 0 : gap / draw.standardError();
    }
    Arrays.sort(t);
    return observed.ratio() - t[rank(1 - confidence)] * observed.standardError();
  }

  /// The upper limit by percentiles: the `confidence` quantile of the ratios of the resamples.
  double percentileUpper(double confidence) {
    double[] ratios = new double[RESAMPLES];
    SplitMix random = new SplitMix(SplitMix.SEED);
    for (int i = 0; i < RESAMPLES; i++) {
      ratios[i] = draw(random).ratio();
    }
    Arrays.sort(ratios);
    return ratios[RESAMPLES - 1 - rank(1 - confidence)];
  }

  private static int rank(double probability) {
    return (int) Math.floor(probability * (RESAMPLES + 1)) - 1;
  }

  private Draw draw(SplitMix random) {
    int units = sums.length;
    double y = 0;
    double n = 0;
    double yy = 0;
    double yn = 0;
    double nn = 0;
    for (int i = 0; i < units; i++) {
      int s = random.below(units);
      double length = sizes[s];
      // Centred, so that the squares below do not cancel.
      double residual = sums[s] - observed.ratio() * length;
      y += residual;
      n += length;
      yy += residual * residual;
      yn += residual * length;
      nn += length * length;
    }
    double shift = y / n;
    double squares = Math.max(0, yy - 2 * shift * yn + shift * shift * nn);
    double error = StrictMath.sqrt(squares * units / (units - 1)) / n;
    return new Draw(observed.ratio() + shift, error);
  }

  private record Draw(double ratio, double standardError) {}
}
