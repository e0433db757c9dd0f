package smelt.verify.stats;

import java.util.OptionalDouble;

/// One-sided 95 % confidence limits of quantities over tokens, from a sample of sequences.
///
/// | quantity | limit |
/// |---|---|
/// | mean | the farther of the studentized bootstrap of sequences and Student's t with `G - 1` degrees of freedom |
/// | share | the farther of the percentile bootstrap of sequences and Clopper-Pearson on the effective number of tokens |
/// | percentile | the order statistic that a binomial law on the effective number of tokens names |
///
/// The effective number is the tokens divided by the design effect, and by the square of Student's
/// t over its value for independent tokens, since the design effect is itself estimated from `G`
/// sequences. A limit is empty where the sample can give none: below [#LEAST_SEQUENCES] sequences,
/// where the intervals are known to hold less than they promise, or where the tokens are too few.
public final class Limits {

  /// Fewest sequences that limits are given for.
  public static final int LEAST_SEQUENCES = 8;

  public static final double CONFIDENCE = 0.95;

  private static final int FEW_EXCEPTIONS = 10;

  private final Sequences sequences;

  public Limits(Sequences sequences) {
    this.sequences = sequences;
  }

  /// Upper limit of the mean.
  ///
  /// @param values one for each token, finite
  public OptionalDouble upperMean(double[] values) {
    if (sequences.count() < LEAST_SEQUENCES) {
      return OptionalDouble.empty();
    }
    ClusteredMean mean = ClusteredMean.of(sequences, values);
    if (mean.standardError() == 0) {
      return OptionalDouble.of(mean.mean());
    }
    double t = StudentT.quantile(CONFIDENCE, sequences.count() - 1.0);
    double student = mean.mean() + t * mean.standardError();
    double resampled = new Bootstrap(sequences, values).studentizedUpper(CONFIDENCE);
    double limit = Math.max(student, resampled);
    return Double.isFinite(limit) ? OptionalDouble.of(limit) : OptionalDouble.empty();
  }

  /// Lower limit of the share of tokens for which something holds.
  ///
  /// @param designEffect that of a quantity related to the exceptions; it counts where there are
  ///   too few exceptions to show how they cluster
  public OptionalDouble lowerShare(boolean[] holds, double designEffect) {
    if (sequences.count() < LEAST_SEQUENCES) {
      return OptionalDouble.empty();
    }
    double[] values = indicator(holds);
    ClusteredMean share = ClusteredMean.of(sequences, values);
    double exceptions = (1 - share.mean()) * share.tokens();
    double floor = exceptions < FEW_EXCEPTIONS ? designEffect : 1;
    double trials = effective(share, floor);
    double exact = Proportion.lower(share.mean() * trials, trials, CONFIDENCE);
    double resampled = new Bootstrap(sequences, values).percentileLower(CONFIDENCE);
    return OptionalDouble.of(Math.min(exact, resampled));
  }

  /// Upper limit of a high percentile: the smallest of the sample's values for which so many larger
  /// ones would be seen with a probability of 5 % at most, if the percentile were larger. Empty
  /// below [#tokensForPercentile] tokens.
  ///
  /// @param percent such as 99.9
  public OptionalDouble upperPercentile(double[] values, double percent) {
    if (sequences.count() < LEAST_SEQUENCES) {
      return OptionalDouble.empty();
    }
    double share = 1 - percent / 100;
    double effect = tailEffect(values, percent);
    double trials = sequences.tokens() / effect;
    if (Proportion.atMost(0, trials, share) > 1 - CONFIDENCE) {
      return OptionalDouble.empty();
    }
    int larger = 0;
    while (Proportion.atMost(larger + 1, trials, share) <= 1 - CONFIDENCE) {
      larger++;
    }
    return OptionalDouble.of(new Percentiles(values).fromTop((int) (larger * effect)));
  }

  /// Tokens below which a percentile of these values has no upper limit.
  public long tokensForPercentile(double[] values, double percent) {
    double independent = StrictMath.log(1 - CONFIDENCE) / StrictMath.log(percent / 100);
    return (long) Math.ceil(independent * tailEffect(values, percent));
  }

  /// The design effect of being in the tail, with its allowance for the number of sequences. Too
  /// few tokens lie above the percentile itself to show how they cluster, so the tail ten times as
  /// wide is looked at as well.
  private double tailEffect(double[] values, double percent) {
    Percentiles percentiles = new Percentiles(values);
    double wide = exceedance(values, percentiles.at(100 - 10 * (100 - percent))).designEffect();
    ClusteredMean narrow = exceedance(values, percentiles.at(percent));
    return sequences.tokens() / effective(narrow, wide);
  }

  private ClusteredMean exceedance(double[] values, double level) {
    boolean[] above = new boolean[values.length];
    for (int i = 0; i < values.length; i++) {
      above[i] = values[i] > level;
    }
    return ClusteredMean.of(sequences, indicator(above));
  }

  private static double effective(ClusteredMean mean, double floor) {
    double worth = mean.worth(floor);
    if (mean.tokens() < 2 || mean.sequences() < 2) {
      return worth;
    }
    double ratio =
        StudentT.quantile(CONFIDENCE, mean.tokens() - 1.0)
            / StudentT.quantile(CONFIDENCE, mean.sequences() - 1.0);
    return Math.max(1, worth * ratio * ratio);
  }

  private static double[] indicator(boolean[] flags) {
    double[] values = new double[flags.length];
    for (int i = 0; i < flags.length; i++) {
      values[i] = flags[i] ? 1 : 0;
    }
    return values;
  }
}
