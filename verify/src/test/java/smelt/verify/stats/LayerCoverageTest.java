package smelt.verify.stats;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.OptionalDouble;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// How often limits of layers hold that promise 95 %. A layer's noise goes with the energy of its
/// tokens, which is skewed, and with how hard a document is, which all layers share. The printed
/// figures are in the decision record.
class LayerCoverageTest {

  private static final int RUNS = 400;
  private static final int TOKENS = 40;

  /// Signal and noise of each layer and document.
  @SuppressWarnings("ArrayRecordComponent")
  private record Sample(double[][] signal, double[][] noise) {

    /// @param shares noise by signal of each layer, over all text
    static Sample draw(SplittableRandom random, double[] shares, int documents, double effect) {
      Sample sample =
          new Sample(new double[shares.length][documents], new double[shares.length][documents]);
      for (int document = 0; document < documents; document++) {
        int tokens = random.nextInt(TOKENS / 2, TOKENS + 1);
        double common = random.nextGaussian();
        for (int layer = 0; layer < shares.length; layer++) {
          double own = Math.sqrt(0.5) * (common + random.nextGaussian());
          double hard = lognormal(own, effect);
          for (int token = 0; token < tokens; token++) {
            double energy = lognormal(random.nextGaussian(), 1);
            sample.signal[layer][document] += energy;
            sample.noise[layer][document] +=
                shares[layer] * hard * energy * lognormal(random.nextGaussian(), 0.5);
          }
        }
      }
      return sample;
    }

    OptionalDouble limit(int layer) {
      return Limits.upperRatio(noise[layer], signal[layer], Limits.CONFIDENCE);
    }
  }

  private static double lognormal(double normal, double spread) {
    return Math.exp(spread * normal - spread * spread / 2);
  }

  @ParameterizedTest
  @CsvSource({"8, 0.3, 0.88", "8, 0.6, 0.81", "16, 0.3, 0.91", "32, 0.6, 0.89"})
  void aLayersLimitHolds(int documents, double effect, double floor) {
    SplittableRandom random = new SplittableRandom(51);
    int held = 0;
    for (int run = 0; run < RUNS; run++) {
      Sample sample = Sample.draw(random, new double[] {1e-3}, documents, effect);
      held += sample.limit(0).orElse(Double.POSITIVE_INFINITY) >= 1e-3 ? 1 : 0;
    }
    report("one layer", documents, effect, held);
    assertThat((double) held / RUNS).isBetween(floor, 0.99);
  }

  /// The noisiest of eight layers is as sure as a single one if it stands alone, surer if many are
  /// as noisy: the limit of the worst layer needs no stricter level.
  @ParameterizedTest
  @CsvSource({"false, 0.91", "true, 0.97"})
  void theLimitOfTheWorstLayerHolds(boolean alike, double floor) {
    SplittableRandom random = new SplittableRandom(52);
    double[] shares = new double[8];
    java.util.Arrays.fill(shares, alike ? 1e-3 : 2e-4);
    shares[5] = 1e-3;
    int held = 0;
    for (int run = 0; run < RUNS; run++) {
      Sample sample = Sample.draw(random, shares, 24, 0.3);
      double highest = 0;
      for (int layer = 0; layer < shares.length; layer++) {
        highest = Math.max(highest, sample.limit(layer).orElse(Double.POSITIVE_INFINITY));
      }
      held += highest >= 1e-3 ? 1 : 0;
    }
    report(alike ? "worst of 8 alike" : "worst of 8, alone", 24, 0.3, held);
    assertThat((double) held / RUNS).isGreaterThan(floor);
  }

  /// Few tokens lose an eighth to a half of their mass each, more of them in some documents.
  @ParameterizedTest
  @CsvSource({"16, 0.02", "64, 0.02", "16, 0.002"})
  void theLimitOfLostRoutedMassHolds(int documents, double flips) {
    SplittableRandom random = new SplittableRandom(53);
    double truth = flips * 5 / 16;
    int held = 0;
    for (int run = 0; run < RUNS; run++) {
      double[] sums = new double[documents];
      double[] lengths = new double[documents];
      double squares = 0;
      for (int document = 0; document < documents; document++) {
        double share = flips * lognormal(random.nextGaussian(), 0.4);
        lengths[document] = random.nextInt(TOKENS, 2 * TOKENS + 1);
        for (int token = 0; token < lengths[document]; token++) {
          double lost = random.nextDouble() < share ? random.nextDouble(0.125, 0.5) : 0;
          sums[document] += lost;
          squares += lost * lost;
        }
      }
      double limit = Limits.upperOfUnit(sums, lengths, squares, 1, Limits.CONFIDENCE).orElseThrow();
      held += limit >= truth ? 1 : 0;
    }
    report("lost mass, flips " + flips, documents, 0.4, held);
    assertThat((double) held / RUNS).isGreaterThan(0.93);
  }

  @Test
  void noNoiseAtAllIsItsOwnLimit() {
    double[] signal = {1, 2, 3, 4, 5, 6, 7, 8};
    assertThat(Limits.upperRatio(new double[8], signal, Limits.CONFIDENCE)).hasValue(0);
  }

  @Test
  void sumsThatAreNotFiniteAndFewDocumentsHaveNoLimit() {
    double[] ones = {1, 1, 1, 1, 1, 1, 1, 1};
    double[] broken = {1, 1, 1, Double.POSITIVE_INFINITY, 1, 1, 1, 1};
    double[] few = {1, 2, 3, 4, 5, 6, 7};
    assertThat(Limits.upperRatio(broken, ones, 0.95)).isEmpty();
    assertThat(Limits.upperRatio(few, few, 0.95)).isEmpty();
    assertThat(Limits.upperOfUnit(broken, ones, 8, 1, 0.95)).isEmpty();
    assertThat(Limits.upperOfUnit(few, few, 7, 1, 0.95)).isEmpty();
  }

  private static void report(String what, int documents, double effect, int held) {
    System.out.printf(
        "%s: %d documents, effect %.1f: limit holds in %.1f %%%n",
        what, documents, effect, 100.0 * held / RUNS);
  }
}
