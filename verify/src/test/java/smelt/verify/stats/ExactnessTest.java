package smelt.verify.stats;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.OptionalDouble;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/// Against published tables and values worked out by hand.
class ExactnessTest {

  @Test
  void incompleteBetaHasItsKnownValues() {
    assertThat(Beta.regularized(0.4, 2, 3)).isCloseTo(0.5248, within(1e-12));
    assertThat(Beta.regularized(0.25, 0.5, 0.5)).isCloseTo(1.0 / 3, within(1e-12));
    assertThat(Beta.regularized(0.999999, 500_000, 0.5))
        .isCloseTo(0.3173105078558957, within(1e-9));
    assertThat(Beta.regularized(1e-5, 3, 100_000)).isCloseTo(0.08030415619556053, within(1e-9));
    assertThat(Beta.regularized(0, 2, 3)).isZero();
    assertThat(Beta.regularized(1, 2, 3)).isOne();
  }

  @Test
  void studentsQuantilesAreThoseOfTheTables() {
    assertThat(StudentT.quantile(0.95, 1)).isCloseTo(6.313751514675, within(1e-9));
    assertThat(StudentT.quantile(0.95, 5)).isCloseTo(2.015048372669, within(1e-8));
    assertThat(StudentT.quantile(0.95, 7)).isCloseTo(1.894578605090, within(1e-8));
    assertThat(StudentT.quantile(0.95, 30)).isCloseTo(1.697260886594, within(1e-8));
    assertThat(StudentT.quantile(0.975, 10)).isCloseTo(2.228138852, within(1e-8));
  }

  @Test
  void clopperPearsonLimitsAreThoseOfTheTables() {
    // No hit in 100: 1 - 0.05^(1/100).
    assertThat(Proportion.upper(0, 100, 0.95)).isCloseTo(0.029513049607, within(1e-11));
    assertThat(Proportion.upper(3, 100, 0.95)).isCloseTo(0.075710793750, within(1e-11));
    assertThat(Proportion.lower(97, 100, 0.95)).isCloseTo(0.924289206250, within(1e-11));
    assertThat(Proportion.upper(5, 10, 0.975)).isCloseTo(0.812913971553, within(1e-11));
    assertThat(Proportion.upper(3.5, 1000.5 - 0.5, 0.95)).isCloseTo(0.0084, within(1e-4));
    assertThat(Proportion.upper(10, 10, 0.95)).isOne();
    assertThat(Proportion.lower(0, 10, 0.95)).isZero();
  }

  @Test
  void percentilesAreTheSmallestValueThatSoManyDoNotExceed() {
    Percentiles thousand =
        new Percentiles(IntStream.rangeClosed(1, 1000).mapToDouble(i -> i).toArray());
    assertThat(thousand.at(99.9)).isEqualTo(999);
    assertThat(thousand.at(50)).isEqualTo(500);
    assertThat(thousand.at(100)).isEqualTo(1000);
    assertThat(thousand.at(0.01)).isEqualTo(1);
    assertThat(new Percentiles(new double[] {7}).at(1)).isEqualTo(7);
    assertThat(new Percentiles(new double[] {1, Double.NaN}).max()).isNaN();
  }

  @Test
  void aClusteredMeanIsTheRatioWithItsErrorOverSequences() {
    // Sums 3, 3, 12 over 2, 1, 3 tokens: mean 3, residuals -3, 0, 3.
    Sequences sequences = new Sequences(new int[] {9, 4, 9, 5, 5, 5});
    ClusteredMean mean = ClusteredMean.of(sequences, new double[] {1, 3, 2, 5, 4, 3});
    assertThat(mean.mean()).isEqualTo(3);
    assertThat(mean.standardError()).isCloseTo(Math.sqrt(18 * 1.5) / 6, within(1e-15));
    // Token variance (4 + 0 + 1 + 4 + 1 + 0) / 5 = 2; 0.75 / (2 / 6).
    assertThat(mean.deviation()).isCloseTo(Math.sqrt(2), within(1e-15));
    assertThat(mean.designEffect()).isCloseTo(2.25, within(1e-14));
  }

  @Test
  void copiesOfOneTokenHaveTheirNumberAsDesignEffect() {
    int[] sequence = IntStream.range(0, 400).map(i -> i / 8).toArray();
    double[] values = IntStream.of(sequence).mapToDouble(s -> s % 5).toArray();
    ClusteredMean mean = ClusteredMean.of(new Sequences(sequence), values);
    assertThat(mean.designEffect()).isCloseTo(8 * 50.0 / 49 * 399 / 400, within(1e-12));
  }

  @Test
  void equalValuesHaveThemselvesAsLimit() {
    int[] sequence = IntStream.range(0, 80).map(i -> i / 8).toArray();
    Limits limits = new Limits(new Sequences(sequence));
    assertThat(limits.upperMean(new double[80])).isEqualTo(OptionalDouble.of(0));
  }

  @Test
  void fewSequencesHaveNoLimit() {
    int[] sequence = IntStream.range(0, 7000).map(i -> i / 1000).toArray();
    Limits limits = new Limits(new Sequences(sequence));
    assertThat(limits.upperMean(new double[7000])).isEmpty();
    assertThat(limits.lowerShare(new boolean[7000], 1)).isEmpty();
    assertThat(limits.upperPercentile(new double[7000], 99.9)).isEmpty();
  }

  @Test
  void shareWithoutExceptionsIsNotSurerThanClopperPearson() {
    int[] sequence = IntStream.range(0, 2000).map(i -> i / 10).toArray();
    boolean[] all = new boolean[2000];
    java.util.Arrays.fill(all, true);
    Limits limits = new Limits(new Sequences(sequence));
    double independent = limits.lowerShare(all, 1).orElseThrow();
    assertThat(independent).isBetween(0.998, Proportion.lower(2000, 2000, 0.95));
    assertThat(limits.lowerShare(all, 4).orElseThrow())
        .isLessThanOrEqualTo(Proportion.lower(500, 500, 0.95));
  }

  @Test
  void aHighPercentileHasNoLimitBelow2995Tokens() {
    int[] one = IntStream.range(0, 2994).toArray();
    double[] values = IntStream.range(0, 4000).mapToDouble(i -> (i * 1237L) % 4000).toArray();
    double[] few = java.util.Arrays.copyOf(values, 2994);
    Limits limits = new Limits(new Sequences(one));
    assertThat(limits.upperPercentile(few, 99.9)).isEmpty();
    assertThat(limits.tokensForPercentile(few, 99.9)).isBetween(2995L, 3000L);
    Limits enough = new Limits(new Sequences(IntStream.range(0, 4000).toArray()));
    // 0.999^4000 = 1.8 %, but with one larger value allowed 9.2 %: the largest is the limit.
    assertThat(enough.upperPercentile(values, 99.9)).hasValue(3999);
  }

  @Test
  void theResamplingGeneratorIsSplitMix64() {
    // First outputs for the seed 1234567, as published with the algorithm.
    SplitMix random = new SplitMix(1234567);
    assertThat(random.next()).isEqualTo(6457827717110365317L);
    assertThat(random.next()).isEqualTo(3203168211198807973L);
    for (int i = 0; i < 1000; i++) {
      assertThat(random.below(7)).isBetween(0, 6);
    }
  }

  @Test
  void limitsAreTheSameEveryTime() {
    Synthetic text = new Synthetic(5);
    Synthetic.Sample sample = text.sample(20, 64, 0.5, 1.2);
    Limits limits = new Limits(sample.sequences());
    assertThat(limits.upperMean(sample.values())).isEqualTo(limits.upperMean(sample.values()));
  }

  @Test
  void neededTokensFollowTheFormula() {
    // mean 0.001, bound 0.0015, coefficient of variation 1.7: 125 tokens for 95 % power.
    assertThat(SampleSize.forMean(0.0017, 0.0005, 1).orElseThrow()).isBetween(125L, 126L);
    assertThat(SampleSize.forMean(0.0017, 0.0005, 3).orElseThrow()).isBetween(375L, 376L);
    assertThat(SampleSize.forMean(1, 0, 1)).isEmpty();
    assertThat(SampleSize.forExceptions(0, 0.001, 1)).hasValue(2995);
    assertThat(SampleSize.forExceptions(0.2, 0.1, 1)).isEmpty();
    assertThat(SampleSize.forExceptions(0, 0, 1)).isEmpty();
  }

  @Test
  void refusesImpossibleCounts() {
    assertThatThrownBy(() -> Proportion.upper(3, 2, 0.95))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> new SequentialTest(0, 10))
        .isInstanceOf(IllegalArgumentException.class);
  }
}
