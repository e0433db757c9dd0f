package smelt.verify.stats;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.EnumMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import smelt.verify.stats.SequentialTest.Decision;

class SequentialTestTest {

  private static final int MOST = 300;
  private static final int LONGEST = 32;

  private record Outcomes(int passed, int failed, int undecided, double meanSequences) {}

  /// Sequences whose mean over all text is `mean`, against a bound of 1.
  private static Outcomes simulate(int runs, double mean, double effect, long seed) {
    Synthetic text = new Synthetic(seed);
    Map<Decision, Integer> ends = new EnumMap<>(Decision.class);
    long stops = 0;
    for (int run = 0; run < runs; run++) {
      SequentialTest test = new SequentialTest(1, LONGEST);
      while (test.decision() == Decision.UNDECIDED && test.sequences() < MOST) {
        double[] values = text.sequence(LONGEST, effect, 1.2);
        for (int i = 0; i < values.length; i++) {
          values[i] *= mean;
        }
        test.feed(values);
      }
      ends.merge(test.decision(), 1, Integer::sum);
      stops += test.sequences();
    }
    Outcomes outcomes =
        new Outcomes(
            ends.getOrDefault(Decision.PASS, 0),
            ends.getOrDefault(Decision.FAIL, 0),
            ends.getOrDefault(Decision.UNDECIDED, 0),
            (double) stops / runs);
    System.out.printf("mean %.2f of the bound, effect %.1f: %s%n", mean, effect, outcomes);
    return outcomes;
  }

  @ParameterizedTest
  @ValueSource(doubles = {0.3, 0.5})
  void passesAtTheBoundInFivePercentAtMost(double effect) {
    int runs = 1500;
    Outcomes outcomes = simulate(runs, 1, effect, 7);
    double error = Math.sqrt(0.05 * 0.95 / runs);
    assertThat((double) outcomes.passed() / runs).isLessThan(0.05 + 2 * error);
    assertThat((double) outcomes.failed() / runs).isLessThan(0.05 + 2 * error);
  }

  @Test
  void passesAtHalfTheBound() {
    Outcomes outcomes = simulate(400, 0.5, 0.5, 8);
    assertThat(outcomes.passed()).isGreaterThan(392);
    assertThat(outcomes.meanSequences()).isLessThan(80);
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
    // First bet 0.75 / (c - B) = 0.75 / 8 on a gain of 4/4 (2 - 1).
    test.feed(new double[] {1, 1, 1, 1});
    assertThat(test.evidence()).isCloseTo(1 + 0.75 / 8, within(1e-14));
    // Two prior gains of 0 with variance 1 and one of 1: mean 1/3, mean square 1; the stake 1/3 is
    // cut to 0.75 / 8. A sequence of half the length gains half.
    test.feed(new double[] {0, 0});
    assertThat(test.evidence()).isCloseTo((1 + 0.75 / 8) * (1 + 0.75 / 8), within(1e-14));
    assertThat(test.counterEvidence()).isOne();
  }

  @Test
  void aPassNeedsSequencesHoweverGoodTheyAre() {
    SequentialTest test = new SequentialTest(1, 1);
    int needed = 0;
    while (test.feed(new double[] {0}) == Decision.UNDECIDED) {
      needed++;
    }
    // (1 + 0.75 / 4)^n reaches 20 at n = 18.
    assertThat(needed + 1).isEqualTo(18);
    assertThat(test.decision()).isEqualTo(Decision.PASS);
    assertThat(test.clippedShareLimit()).isCloseTo(1 - Math.pow(0.05, 1 / 18.0), within(1e-10));
  }

  @Test
  void aDecisionStays() {
    SequentialTest test = new SequentialTest(1, 1);
    for (int i = 0; i < 20; i++) {
      test.feed(new double[] {0});
    }
    for (int i = 0; i < 50; i++) {
      assertThat(test.feed(new double[] {9})).isEqualTo(Decision.PASS);
    }
  }

  @Test
  void valuesThatAreNoDivergenceFail() {
    assertThat(new SequentialTest(1, 2).feed(new double[] {0, Double.NaN}))
        .isEqualTo(Decision.FAIL);
    assertThat(new SequentialTest(1, 2).feed(new double[] {0, -1e-9})).isEqualTo(Decision.FAIL);
    assertThatThrownBy(() -> new SequentialTest(1, 2).feed(new double[3]))
        .isInstanceOf(IllegalArgumentException.class);
  }
}
