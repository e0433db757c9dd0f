package smelt.verify.stats;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SequentialTestTest {

  private static final int MOST = 300;
  private static final int LONGEST = 32;

  private record Outcomes(int failed, int undecided, double meanSequences) {}

  /// Sequences whose mean over all text is `mean`, against a bound of 1.
  private static Outcomes simulate(int runs, double mean, double effect, long seed) {
    Synthetic text = new Synthetic(seed);
    int failed = 0;
    long stops = 0;
    for (int run = 0; run < runs; run++) {
      SequentialTest test = new SequentialTest(1, LONGEST);
      while (!test.isCertain() && test.sequences() < MOST) {
        double[] values = text.sequence(LONGEST, effect, 1.2);
        for (int i = 0; i < values.length; i++) {
          values[i] *= mean;
        }
        test.feed(values);
      }
      failed += test.isCertain() ? 1 : 0;
      stops += test.sequences();
    }
    Outcomes outcomes = new Outcomes(failed, runs - failed, (double) stops / runs);
    System.out.printf("mean %.2f of the bound, effect %.1f: %s%n", mean, effect, outcomes);
    return outcomes;
  }

  @ParameterizedTest
  @ValueSource(doubles = {0.3, 0.5})
  void failsAtTheBoundInFivePercentAtMost(double effect) {
    int runs = 1500;
    Outcomes outcomes = simulate(runs, 1, effect, 7);
    double error = Math.sqrt(0.05 * 0.95 / runs);
    assertThat((double) outcomes.failed() / runs).isLessThan(0.05 + 2 * error);
  }

  @Test
  void neverFailsAtHalfTheBound() {
    assertThat(simulate(200, 0.5, 0.5, 8).failed()).isZero();
  }

  @Test
  void failsForCertainAtOneAndAHalfAndTwiceTheBound() {
    assertThat(simulate(400, 1.5, 0.5, 9).failed()).isGreaterThan(380);
    Outcomes twice = simulate(400, 2, 0.5, 10);
    assertThat(twice.failed()).isGreaterThan(396);
    assertThat(twice.meanSequences()).isLessThan(30);
  }

  @Test
  void evidenceIsTheProductOfTheBets() {
    SequentialTest test = new SequentialTest(2, 4);
    // Nothing is known before the first sequence, so nothing is bet on it.
    test.feed(new double[] {4, 4, 4, 4});
    assertThat(test.evidence()).isOne();
    // Two prior losses of 0 with variance 1 and one of 4/4 (4 - 2): mean 2/3, mean square 2; the
    // stake is 1/3. A sequence of half the length loses half: 1 + 1/3 (6 - 2) / 2.
    test.feed(new double[] {6, 6});
    assertThat(test.evidence()).isCloseTo(1 + 2.0 / 3, within(1e-14));
  }

  @Test
  void whatIsCertainStaysSo() {
    SequentialTest test = new SequentialTest(1, 1);
    int needed = 1;
    while (!test.feed(new double[] {4})) {
      needed++;
    }
    assertThat(needed).isBetween(3, 10);
    for (int i = 0; i < 50; i++) {
      assertThat(test.feed(new double[] {0})).isTrue();
    }
  }

  @Test
  void aLongGoodBeginningDoesNotHideWhatComes() {
    SequentialTest test = new SequentialTest(1, 1);
    for (int i = 0; i < 30; i++) {
      assertThat(test.feed(new double[] {0.1})).isFalse();
    }
    int needed = 1;
    while (!test.feed(new double[] {4})) {
      needed++;
    }
    assertThat(needed).isLessThan(60);
  }

  @Test
  void valuesThatAreNoDivergenceFail() {
    assertThat(new SequentialTest(1, 2).feed(new double[] {0, Double.NaN})).isTrue();
    assertThat(new SequentialTest(1, 2).feed(new double[] {0, -1e-9})).isTrue();
    assertThatThrownBy(() -> new SequentialTest(1, 2).feed(new double[3]))
        .isInstanceOf(IllegalArgumentException.class);
  }
}
