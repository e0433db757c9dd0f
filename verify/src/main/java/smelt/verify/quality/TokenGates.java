package smelt.verify.quality;

import java.util.OptionalDouble;
import java.util.OptionalLong;
import smelt.verify.quality.Gate.Outcome;
import smelt.verify.stats.ClusteredMean;
import smelt.verify.stats.Limits;
import smelt.verify.stats.Percentiles;
import smelt.verify.stats.SampleSize;
import smelt.verify.stats.Sequences;

/// Gates on scores of tokens, a sample: see [Decision]. Scores of two paths that agree to the bit
/// are no sample: their limits are the values.
final class TokenGates {

  private static final double TAIL = 99.9;

  private final TokenScores scores;
  private final Sequences sequences;
  private final Limits limits;
  private final Decision decision;
  private final boolean identical;
  private final String fault;

  /// @param scores of at least one token
  TokenGates(TokenScores scores, Look look) {
    this.scores = scores;
    this.sequences = new Sequences(scores.document());
    this.limits = new Limits(sequences, look.confidence());
    this.decision = new Decision(look, scores.size(), sequences.count());
    this.identical = identical(scores);
    this.fault = fault(scores);
  }

  Gate meanKl(double bound) {
    return fault.isEmpty() ? meanKlOf(bound) : faulty(Metric.MEAN_KL, bound);
  }

  Gate kl999(double bound) {
    return fault.isEmpty() ? kl999Of(bound) : faulty(Metric.KL_999, bound);
  }

  Gate sameTop(double bound) {
    return fault.isEmpty() ? sameTopOf(bound) : faulty(Metric.SAME_TOP, bound);
  }

  Gate pplRatio(double bound) {
    return fault.isEmpty() ? pplRatioOf(bound) : faulty(Metric.PPL_RATIO, bound);
  }

  private Gate meanKlOf(double bound) {
    ClusteredMean kl = ClusteredMean.of(sequences, scores.kl());
    return decide(
        Metric.MEAN_KL,
        bound,
        kl.mean(),
        limits.upperMean(scores.kl()),
        SampleSize.forMean(kl.deviation(), bound - kl.mean(), kl.designEffect()),
        "design effect " + Figures.oneDigit(kl.designEffect()));
  }

  private Gate kl999Of(double bound) {
    double[] kl = scores.kl();
    Percentiles percentiles = new Percentiles(kl);
    OptionalDouble limit = limits.upperPercentile(kl, TAIL);
    long least = limits.tokensForPercentile(kl, TAIL);
    long above = java.util.Arrays.stream(kl).filter(value -> value > bound).count();
    double effect = (double) least / limits.independentTokensForPercentile(TAIL);
    double share = (double) above / kl.length;
    OptionalLong needed =
        limit.isEmpty()
            ? OptionalLong.of(least)
            : SampleSize.forExceptions(share, 1 - TAIL / 100, effect);
    return decide(
        Metric.KL_999, bound, percentiles.at(TAIL), limit, needed, largest(percentiles.max()));
  }

  private Gate sameTopOf(double bound) {
    double value = Summaries.share(scores.sameTop());
    double effect = ClusteredMean.of(sequences, scores.kl()).designEffect();
    long other = Math.round((1 - value) * scores.size());
    return decide(
        Metric.SAME_TOP,
        bound,
        value,
        limits.lowerShare(scores.sameTop(), effect),
        SampleSize.forExceptions(1 - value, 1 - bound, effect),
        Figures.count(other) + " tokens have another likeliest token");
  }

  private Gate pplRatioOf(double bound) {
    double[] ratio = Summaries.logRatio(scores);
    ClusteredMean mean = ClusteredMean.of(sequences, ratio);
    OptionalDouble limit = limits.upperMean(ratio);
    return decide(
        Metric.PPL_RATIO,
        bound,
        StrictMath.exp(mean.mean()),
        limit.isPresent()
            ? OptionalDouble.of(StrictMath.exp(limit.getAsDouble()))
            : OptionalDouble.empty(),
        SampleSize.forMean(
            mean.deviation(), StrictMath.log(bound) - mean.mean(), mean.designEffect()),
        "paired over tokens");
  }

  private Gate decide(
      Metric metric,
      double bound,
      double value,
      OptionalDouble limit,
      OptionalLong needed,
      String seen) {
    if (identical) {
      Outcome outcome = Decision.holds(metric, value, bound) ? Outcome.PASS : Outcome.FAIL;
      String detail = "both paths agree to the bit on every token";
      return new Gate(metric, bound, value, OptionalDouble.of(value), outcome, detail);
    }
    return decision.gate(metric, bound, value, limit, needed, seen);
  }

  private String largest(double max) {
    for (int i = 0; i < scores.size(); i++) {
      if (scores.kl()[i] == max) {
        return "largest " + Figures.small(max) + " at " + place(scores, i);
      }
    }
    return "";
  }

  private Gate faulty(Metric metric, double bound) {
    return new Gate(metric, bound, Double.NaN, OptionalDouble.empty(), Outcome.FAIL, fault);
  }

  private static boolean identical(TokenScores scores) {
    for (int i = 0; i < scores.size(); i++) {
      if (scores.kl()[i] != 0 || scores.logP()[i] != scores.logQ()[i] || !scores.sameTop()[i]) {
        return false;
      }
    }
    return true;
  }

  private static String fault(TokenScores scores) {
    long faults = 0;
    String first = "";
    for (int i = 0; i < scores.size(); i++) {
      if (!valid(scores, i)) {
        first = faults == 0 ? place(scores, i) : first;
        faults++;
      }
    }
    return faults == 0
        ? ""
        : Figures.count(faults)
            + " of "
            + Figures.count(scores.size())
            + " tokens have scores that are not finite, or a negative KL; first at "
            + first;
  }

  private static boolean valid(TokenScores scores, int i) {
    return scores.kl()[i] >= 0
        && scores.forcedKl()[i] >= 0
        && Double.isFinite(scores.kl()[i] + scores.forcedKl()[i])
        && Double.isFinite(scores.logP()[i])
        && Double.isFinite(scores.logQ()[i]);
  }

  private static String place(TokenScores scores, int i) {
    return "sequence " + scores.sequence()[i] + " position " + scores.position()[i];
  }
}
