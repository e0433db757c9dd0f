package smelt.verify.stats;

import java.util.Arrays;

/// Resampling of whole sequences, with replacement, `G` of `G`, [#RESAMPLES] times.
final class Bootstrap {

  static final int RESAMPLES = 2000;

  private final Sequences sequences;
  private final double[] sums;
  private final ClusteredMean observed;

  Bootstrap(Sequences sequences, double[] values) {
    this.sequences = sequences;
    this.sums = sequences.sums(values);
    this.observed = ClusteredMean.of(sequences, values);
  }

  /// The upper limit by the studentized bootstrap: `mean - t standardError`, with `t` the `1 -
  /// confidence` quantile of `(mean* - mean) / standardError*` over the resamples. Infinite where a
  /// few sequences hold so much of the sum that resamples without them show no spread at all.
  double studentizedUpper(double confidence) {
    double[] t = new double[RESAMPLES];
    SplitMix random = new SplitMix(SplitMix.SEED);
    for (int i = 0; i < RESAMPLES; i++) {
      Draw draw = draw(random);
      double gap = draw.mean() - observed.mean();
      t[i] = gap == 0 ? 0 : gap / draw.standardError();
    }
    Arrays.sort(t);
    return observed.mean() - t[rank(1 - confidence)] * observed.standardError();
  }

  /// The lower limit by percentiles: the `1 - confidence` quantile of the means of the resamples.
  double percentileLower(double confidence) {
    double[] means = new double[RESAMPLES];
    SplitMix random = new SplitMix(SplitMix.SEED);
    for (int i = 0; i < RESAMPLES; i++) {
      means[i] = draw(random).mean();
    }
    Arrays.sort(means);
    return means[rank(1 - confidence)];
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
      double length = sequences.length(s);
      // Centred, so that the squares below do not cancel.
      double residual = sums[s] - observed.mean() * length;
      y += residual;
      n += length;
      yy += residual * residual;
      yn += residual * length;
      nn += length * length;
    }
    double shift = y / n;
    double squares = Math.max(0, yy - 2 * shift * yn + shift * shift * nn);
    double error = StrictMath.sqrt(squares * units / (units - 1)) / n;
    return new Draw(observed.mean() + shift, error);
  }

  private record Draw(double mean, double standardError) {}
}
