package smelt.verify.quality;

import java.util.SortedMap;
import java.util.TreeMap;
import smelt.verify.stats.ClusteredMean;
import smelt.verify.stats.Percentiles;
import smelt.verify.stats.Sequences;

/// Makes the [Summary] of token scores. The same scores give the same bits on every machine.
public final class Summaries {

  private static final double[] PERCENTS = {1, 5, 10, 50, 90, 95, 99, 99.9};

  private Summaries() {}

  /// @param scores of at least one token; a NaN in them shows as NaN
  public static Summary of(TokenScores scores) {
    Sequences sequences = new Sequences(scores.document());
    double[] shift = deltaP(scores);
    double squares = 0;
    for (double value : shift) {
      squares += value * value;
    }
    return new Summary(
        scores.size(),
        distribution(sequences, scores.kl()),
        distribution(sequences, scores.forcedKl()),
        StrictMath.exp(-mean(scores.logP())),
        StrictMath.exp(-mean(scores.logQ())),
        distribution(sequences, logRatio(scores)),
        distribution(sequences, shift),
        StrictMath.sqrt(squares / scores.size()),
        share(scores.sameTop()),
        share(scores.sameTopForced()),
        mean(scores.eosShift()),
        ClusteredMean.of(sequences, scores.kl()).designEffect());
  }

  /// `log p(target) - log q(target)` of each token.
  static double[] logRatio(TokenScores scores) {
    double[] ratio = new double[scores.size()];
    for (int i = 0; i < ratio.length; i++) {
      ratio[i] = scores.logP()[i] - scores.logQ()[i];
    }
    return ratio;
  }

  private static double[] deltaP(TokenScores scores) {
    double[] shift = new double[scores.size()];
    for (int i = 0; i < shift.length; i++) {
      shift[i] = StrictMath.exp(scores.logQ()[i]) - StrictMath.exp(scores.logP()[i]);
    }
    return shift;
  }

  private static Distribution distribution(Sequences sequences, double[] values) {
    ClusteredMean mean = ClusteredMean.of(sequences, values);
    Percentiles percentiles = new Percentiles(values);
    SortedMap<Double, Double> at = new TreeMap<>();
    for (double percent : PERCENTS) {
      at.put(percent, percentiles.at(percent));
    }
    return new Distribution(
        mean.mean(), mean.standardError(), percentiles.min(), percentiles.max(), at);
  }

  private static double mean(double[] values) {
    double sum = 0;
    for (double value : values) {
      sum += value;
    }
    return sum / values.length;
  }

  static double share(boolean[] flags) {
    long set = 0;
    for (boolean flag : flags) {
      set += flag ? 1 : 0;
    }
    return (double) set / flags.length;
  }
}
