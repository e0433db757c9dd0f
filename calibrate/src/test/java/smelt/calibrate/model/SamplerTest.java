package smelt.calibrate.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import smelt.calibrate.model.Sampler.Sampling;
import smelt.formats.BadInputException;

class SamplerTest {

  private static final float[] LOGITS = {1, 3, 2, 3, Float.NEGATIVE_INFINITY};

  @Test
  void greedyTakesTheLargestAndOfEqualOnesTheFirst() {
    assertThat(new Sampler(new Sampling.Greedy()).next(LOGITS)).isEqualTo(1);
  }

  @Test
  void drawsAsOftenAsTheSoftmaxSays() {
    int draws = 40_000;
    int[] counts = counts(new Sampling.Drawn(2, 1, 11), draws);
    double sum = 0;
    for (float logit : LOGITS) {
      sum += Math.exp(logit / 2);
    }
    for (int id = 0; id < LOGITS.length; id++) {
      double share = Math.exp(LOGITS[id] / 2) / sum;
      double sigma = Math.sqrt(draws * share * (1 - share));
      assertThat((double) counts[id])
          .isBetween(draws * share - 5 * sigma, draws * share + 5 * sigma);
    }
    assertThat(counts[4]).isZero();
  }

  @Test
  void topPKeepsTheFewestTokensThatReachIt() {
    // Shares at temperature 1: ids 1 and 3 have 0.40 each, 2 has 0.15, 0 has 0.05.
    assertThat(counts(new Sampling.Drawn(1, 0.3, 1), 500)).containsExactly(0, 500, 0, 0, 0);
    int[] two = counts(new Sampling.Drawn(1, 0.7, 1), 500);
    assertThat(two[1] + two[3]).isEqualTo(500);
    assertThat(Math.min(two[1], two[3])).isGreaterThan(150);
    int[] three = counts(new Sampling.Drawn(1, 0.9, 1), 2000);
    assertThat(three[2]).isGreaterThan(100);
    assertThat(three[0]).isZero();
  }

  @Test
  void theSameSeedDrawsTheSameTokens() {
    Sampling drawn = new Sampling.Drawn(1.5, 0.99, 42);
    assertThat(tokens(drawn)).isEqualTo(tokens(drawn));
    assertThat(tokens(drawn)).isNotEqualTo(tokens(new Sampling.Drawn(1.5, 0.99, 43)));
  }

  @Test
  void aColdTemperatureIsGreedy() {
    float[] logits = {1, 2, 3, 2.5f};
    Sampler cold = new Sampler(new Sampling.Drawn(1e-6, 1, 5));
    assertThat(IntStream.range(0, 50).map(_ -> cold.next(logits))).containsOnly(2);
  }

  @Test
  void refusesLogitsThatAreNoNumbersAndImpossibleSettings() {
    for (Sampling sampling : new Sampling[] {new Sampling.Greedy(), new Sampling.Drawn(1, 1, 0)}) {
      for (float bad : new float[] {Float.NaN, Float.POSITIVE_INFINITY}) {
        assertThatThrownBy(() -> new Sampler(sampling).next(0, bad, 1))
            .isInstanceOf(BadInputException.class)
            .hasMessageContaining("token 1");
      }
    }
    for (double bad : new double[] {0, -1, Double.NaN, Double.POSITIVE_INFINITY}) {
      assertThatThrownBy(() -> new Sampling.Drawn(bad, 1, 0))
          .isInstanceOf(IllegalArgumentException.class);
    }
    for (double bad : new double[] {0, 1.1, Double.NaN}) {
      assertThatThrownBy(() -> new Sampling.Drawn(1, bad, 0))
          .isInstanceOf(IllegalArgumentException.class);
    }
  }

  private static int[] counts(Sampling sampling, int draws) {
    Sampler sampler = new Sampler(sampling);
    int[] counts = new int[LOGITS.length];
    for (int i = 0; i < draws; i++) {
      counts[sampler.next(LOGITS)]++;
    }
    return counts;
  }

  private static int[] tokens(Sampling sampling) {
    Sampler sampler = new Sampler(sampling);
    return IntStream.range(0, 100).map(_ -> sampler.next(LOGITS)).toArray();
  }
}
