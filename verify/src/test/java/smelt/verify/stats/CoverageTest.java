package smelt.verify.stats;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.OptionalDouble;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// How often limits hold that promise 95 %, on values as skewed as per-token KL is (coefficient of
/// variation 1.8 to 2.6). The floors are what the limits are known to reach, less three standard
/// errors of the simulation; the printed figures are in the decision record.
class CoverageTest {

  private static final int RUNS = 500;

  @ParameterizedTest
  @CsvSource({
    "8, 0.3, 0.88",
    "8, 0.6, 0.81",
    "8, 1.0, 0.79",
    "16, 0.3, 0.91",
    "16, 0.6, 0.86",
    "32, 0.6, 0.89",
    "64, 0.6, 0.90"
  })
  void theMeansUpperLimitHolds(int sequences, double effect, double floor) {
    Synthetic text = new Synthetic(42);
    int held = 0;
    for (int run = 0; run < RUNS; run++) {
      Synthetic.Sample sample = text.sample(sequences, 48, effect, 1.2);
      OptionalDouble limit = new Limits(sample.sequences()).upperMean(sample.values());
      held += limit.orElse(Double.POSITIVE_INFINITY) >= 1 ? 1 : 0;
    }
    report("mean", sequences, effect, held);
    assertThat((double) held / RUNS).isBetween(floor, 0.99);
  }

  @ParameterizedTest
  @CsvSource({"16, 0.6", "64, 0.6", "64, 0.0"})
  void theSharesLowerLimitHolds(int sequences, double effect) {
    double level = 4.5;
    double share = shareBelow(level, effect);
    Synthetic text = new Synthetic(43);
    int held = 0;
    for (int run = 0; run < RUNS; run++) {
      Synthetic.Sample sample = text.sample(sequences, 64, effect, 1.0);
      boolean[] below = new boolean[sample.values().length];
      for (int i = 0; i < below.length; i++) {
        below[i] = sample.values()[i] <= level;
      }
      double limit = new Limits(sample.sequences()).lowerShare(below, 1).orElseThrow();
      held += limit <= share ? 1 : 0;
    }
    report("share", sequences, effect, held);
    assertThat((double) held / RUNS).isGreaterThan(0.92);
  }

  @ParameterizedTest
  @CsvSource({"100, 0.0", "200, 0.5"})
  void thePercentilesUpperLimitHolds(int sequences, double effect) {
    double spread = Math.sqrt(1 + effect * effect);
    double truth = Math.exp(3.090232306167813 * spread - spread * spread / 2);
    Synthetic text = new Synthetic(44);
    int held = 0;
    int given = 0;
    for (int run = 0; run < RUNS / 2; run++) {
      Synthetic.Sample sample = text.sample(sequences, 100, effect, 1.0);
      OptionalDouble limit = new Limits(sample.sequences()).upperPercentile(sample.values(), 99.9);
      given += limit.isPresent() ? 1 : 0;
      held += limit.isPresent() && limit.getAsDouble() >= truth ? 1 : 0;
    }
    System.out.printf("of %d runs %d have a limit of the percentile%n", RUNS / 2, given);
    report("99.9 %", sequences, effect, (int) Math.round((double) RUNS * held / given));
    assertThat(given).isGreaterThan(RUNS / 4);
    assertThat((double) held / given).isGreaterThan(0.91);
  }

  @Test
  void takingTokensForIndependentWouldNotHold() {
    Synthetic text = new Synthetic(45);
    int held = 0;
    for (int run = 0; run < RUNS; run++) {
      Synthetic.Sample sample = text.sample(32, 48, 0.6, 1.2);
      ClusteredMean mean = ClusteredMean.of(sample.sequences(), sample.values());
      held += mean.mean() + 1.645 * mean.deviation() / Math.sqrt(mean.tokens()) >= 1 ? 1 : 0;
    }
    assertThat((double) held / RUNS).isLessThan(0.8);
  }

  /// Sequences of a document share a random shift.
  @Test
  void onlyDocumentsAsClustersHoldWhereTheirSequencesShareAShift() {
    java.util.SplittableRandom random = new java.util.SplittableRandom(46);
    int documents = 24;
    int pieces = 6;
    int length = 20;
    int n = documents * pieces * length;
    int heldByDocument = 0;
    int heldBySequence = 0;
    for (int run = 0; run < RUNS; run++) {
      int[] document = new int[n];
      int[] sequence = new int[n];
      double[] values = new double[n];
      double shift = 0;
      for (int i = 0; i < n; i++) {
        sequence[i] = i / length;
        document[i] = sequence[i] / pieces;
        shift = i % (length * pieces) == 0 ? 0.3 * random.nextGaussian() : shift;
        values[i] = 1 + shift + 0.5 * random.nextGaussian();
      }
      heldByDocument += upper(document, values) >= 1 ? 1 : 0;
      heldBySequence += upper(sequence, values) >= 1 ? 1 : 0;
    }
    report("mean by document", documents, 0.3, heldByDocument);
    report("mean by sequence", documents * pieces, 0.3, heldBySequence);
    assertThat((double) heldByDocument / RUNS).isBetween(0.92, 0.99);
    assertThat((double) heldBySequence / RUNS).isLessThan(0.85);
  }

  private static double upper(int[] clusters, double[] values) {
    return new Limits(new Sequences(clusters)).upperMean(values).orElseThrow();
  }

  private static double shareBelow(double level, double effect) {
    double spread = Math.sqrt(1 + effect * effect);
    double z = (Math.log(level) + spread * spread / 2) / spread;
    // Student's t with so many degrees of freedom is the normal distribution to six digits.
    double degrees = 1e6;
    return 1 - 0.5 * Beta.regularized(degrees / (degrees + z * z), degrees / 2, 0.5);
  }

  private static void report(String what, int sequences, double effect, int held) {
    System.out.printf(
        "%s: %d sequences, effect %.1f: limit holds in %.1f %%%n",
        what, sequences, effect, 100.0 * held / RUNS);
  }
}
