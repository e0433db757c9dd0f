package smelt.verify.stats;

import java.util.SplittableRandom;

/// Text as it is scored: log-normal values per token, times a log-normal effect of their sequence,
/// in sequences of different lengths. Means are 1 over all text.
final class Synthetic {

  @SuppressWarnings("ArrayRecordComponent")
  record Sample(Sequences sequences, double[] values) {}

  private final SplittableRandom random;

  Synthetic(long seed) {
    random = new SplittableRandom(seed);
  }

  /// One sequence of half to all of `longest` tokens.
  double[] sequence(int longest, double effectSpread, double tokenSpread) {
    double[] values = new double[random.nextInt((longest + 1) / 2, longest + 1)];
    double effect = lognormal(effectSpread);
    for (int i = 0; i < values.length; i++) {
      values[i] = effect * lognormal(tokenSpread);
    }
    return values;
  }

  Sample sample(int sequences, int longest, double effectSpread, double tokenSpread) {
    int[] sequence = new int[sequences * longest];
    double[] values = new double[sequence.length];
    int tokens = 0;
    for (int s = 0; s < sequences; s++) {
      for (double value : sequence(longest, effectSpread, tokenSpread)) {
        sequence[tokens] = s;
        values[tokens++] = value;
      }
    }
    return new Sample(
        new Sequences(java.util.Arrays.copyOf(sequence, tokens)),
        java.util.Arrays.copyOf(values, tokens));
  }

  /// Mean 1.
  private double lognormal(double spread) {
    return Math.exp(spread * random.nextGaussian() - spread * spread / 2);
  }
}
