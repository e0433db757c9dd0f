package smelt.verify.stats;

import java.util.OptionalDouble;

/// One-sided confidence limits, at 95 % or another level, of quantities over tokens, from a sample
/// of sequences, or of clusters of whatever kind.
///
/// | quantity | limit |
/// |---|---|
/// | mean, ratio of sums | the farther of the studentized bootstrap of sequences and Student's t with `G - 1` degrees of freedom |
/// | share, mean of numbers from 0 to 1 | the farther of the percentile bootstrap of sequences and Clopper-Pearson on the effective number of tokens |
/// | percentile | the order statistic that a binomial law on the effective number of tokens names |
///
/// The effective number is the tokens divided by the design effect, and by the square of Student's
/// t over its value for independent tokens, since the design effect is itself estimated from `G`
/// sequences. A limit is empty where the sample can give none: below [#LEAST_SEQUENCES] sequences,
/// where the intervals are known to hold less than they promise, or where the tokens are too few.
///
/// Of independent trials with a given mean, those that are 0 or 1 vary most. So Clopper-Pearson is
/// on the safe side for numbers in between.
public final class Limits {

  /// Fewest sequences that limits are given for.
  public static final int LEAST_SEQUENCES = 8;

  public static final double CONFIDENCE = 0.95;

  private static final int FEW_EXCEPTIONS = 10;

  private final Sequences sequences;
  private final double confidence;

  /// Limits at 95 %.
  public Limits(Sequences sequences) {
    this(sequences, CONFIDENCE);
  }

  /// @param confidence such as 0.95
  public Limits(Sequences sequences, double confidence) {
    this.sequences = sequences;
    this.confidence = confidence;
  }

  /// Upper limit of the mean.
  ///
  /// @param values one for each token, finite
  public OptionalDouble upperMean(double[] values) {
    return upperRatio(sequences.sums(values), sequences.lengths(), confidence);
  }

  /// Upper limit of a ratio of sums over clusters, such as the noise of a layer by its signal.
  /// Empty as well where the sums are not finite.
  ///
  /// @param numerators one for each cluster
  /// @param denominators likewise, not negative
  public static OptionalDouble upperRatio(
      double[] numerators, double[] denominators, double confidence) {
    if (numerators.length < LEAST_SEQUENCES) {
      return OptionalDouble.empty();
    }
    RatioOfSums ratio = RatioOfSums.of(numerators, denominators);
    if (ratio.standardError() == 0) {
      return OptionalDouble.of(ratio.ratio());
    }
    if (!Double.isFinite(ratio.standardError())) {
      return OptionalDouble.empty();
    }
    double t = StudentT.quantile(confidence, numerators.length - 1.0);
    double student = ratio.ratio() + t * ratio.standardError();
    double resampled = new Bootstrap(numerators, denominators).studentizedUpper(confidence);
    double limit = Math.max(student, resampled);
    return Double.isFinite(limit) ? OptionalDouble.of(limit) : OptionalDouble.empty();
  }

  /// Lower limit of the share of tokens for which something holds.
  ///
  /// @param designEffect that of a quantity related to the exceptions; it counts where there are
  ///   too few exceptions to show how they cluster
  public OptionalDouble lowerShare(boolean[] holds, double designEffect) {
    double[] exceptions = new double[holds.length];
    int count = 0;
    for (int i = 0; i < holds.length; i++) {
      exceptions[i] = holds[i] ? 0 : 1;
      count += holds[i] ? 0 : 1;
    }
    OptionalDouble upper =
        upperOfUnit(
            sequences.sums(exceptions), sequences.lengths(), count, designEffect, confidence);
    return upper.isPresent() ? OptionalDouble.of(1 - upper.getAsDouble()) : upper;
  }

  /// Upper limit of the mean of numbers from 0 to 1, one a token, from their sums over clusters.
  /// Empty as well where the sums are not finite.
  ///
  /// @param sums sum over the tokens of each cluster
  /// @param lengths number of its tokens
  /// @param squares sum of the squares of all
  /// @param designEffect as in [#lowerShare]
  public static OptionalDouble upperOfUnit(
      double[] sums, double[] lengths, double squares, double designEffect, double confidence) {
    RatioOfSums ratio = RatioOfSums.of(sums, lengths);
    if (sums.length < LEAST_SEQUENCES || !Double.isFinite(ratio.standardError() + squares)) {
      return OptionalDouble.empty();
    }
    double tokens = 0;
    for (double length : lengths) {
      tokens += length;
    }
    double share = Math.clamp(ratio.ratio(), 0, 1);
    double within = Math.max(0, squares - tokens * share * share);
    ClusteredMean mean = ClusteredMean.of(ratio, within, (int) tokens);
    double floor = share * tokens < FEW_EXCEPTIONS ? designEffect : 1;
    double trials = effective(mean, floor, confidence);
    double exact = Proportion.upper(share * trials, trials, confidence);
    double resampled = new Bootstrap(sums, lengths).percentileUpper(confidence);
    return OptionalDouble.of(Math.max(exact, resampled));
  }

  /// Upper limit of a high percentile: the smallest of the sample's values for which so many larger
  /// ones would be seen with a probability of `1 - confidence` at most, if the percentile were
  /// larger. Empty below [#tokensForPercentile] tokens.
  ///
  /// @param percent such as 99.9
  public OptionalDouble upperPercentile(double[] values, double percent) {
    if (sequences.count() < LEAST_SEQUENCES) {
      return OptionalDouble.empty();
    }
    double share = 1 - percent / 100;
    double effect = tailEffect(values, percent);
    double trials = sequences.tokens() / effect;
    if (Proportion.atMost(0, trials, share) > 1 - confidence) {
      return OptionalDouble.empty();
    }
    int larger = 0;
    while (Proportion.atMost(larger + 1, trials, share) <= 1 - confidence) {
      larger++;
    }
    return OptionalDouble.of(new Percentiles(values).fromTop((int) (larger * effect)));
  }

  /// Tokens below which a percentile of these values has no upper limit.
  public long tokensForPercentile(double[] values, double percent) {
    return (long) Math.ceil(independent(percent) * tailEffect(values, percent));
  }

  /// The same for tokens that do not depend on each other.
  public long independentTokensForPercentile(double percent) {
    return (long) Math.ceil(independent(percent));
  }

  private double independent(double percent) {
    return StrictMath.log(1 - confidence) / StrictMath.log(percent / 100);
  }

  /// The design effect of being in the tail, with its allowance for the number of sequences. Too
  /// few tokens lie above the percentile itself to show how they cluster, so the tail ten times as
  /// wide is looked at as well.
  private double tailEffect(double[] values, double percent) {
    Percentiles percentiles = new Percentiles(values);
    double wide = exceedance(values, percentiles.at(100 - 10 * (100 - percent))).designEffect();
    ClusteredMean narrow = exceedance(values, percentiles.at(percent));
    return sequences.tokens() / effective(narrow, wide, confidence);
  }

  private ClusteredMean exceedance(double[] values, double level) {
    boolean[] above = new boolean[values.length];
    for (int i = 0; i < values.length; i++) {
      above[i] = values[i] > level;
    }
    return ClusteredMean.of(sequences, indicator(above));
  }

  private static double effective(ClusteredMean mean, double floor, double confidence) {
    double worth = mean.worth(floor);
    if (mean.tokens() < 2 || mean.sequences() < 2) {
      return worth;
    }
    double ratio =
        StudentT.quantile(confidence, mean.tokens() - 1.0)
            / StudentT.quantile(confidence, mean.sequences() - 1.0);
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
