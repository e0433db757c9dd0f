package smelt.verify.quality;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import smelt.formats.Share;

/// How often looks on the way let a result pass that they should not, over all gates and looks, and
/// what they save. The figures that `./dev long` prints are in the decision record.
class LooksTest {

  private static final int RUNS = Share.of(200, 400);
  private static final int LENGTH = 24;
  private static final double MEAN = 1e-3;
  private static final List<TensorScore> WEIGHTS = List.of(PlantedScores.tensor("a", 60, 0));

  @Test
  void looksComeAfterAQuarterAHalfAndAllOfTheTokens() {
    Looks looks = Looks.onTheWay(List.of(10, 30, 10, 10, 20, 20, 50, 10));
    assertThat(looks.ends()).containsExactly(2, 5, 8);
    assertThat(looks.risks()).containsExactly(0.005, 0.01, 0.035);
    assertThat(looks.after(3)).isEmpty();
    assertThat(looks.after(2).orElseThrow().level()).isEqualTo("99.5 %");
    assertThat(looks.after(8).orElseThrow()).isEqualTo(new Look(3, 3, 0.965, Units.DOCUMENTS));
    assertThat(looks.coming(3).level()).isEqualTo("99 %");
    assertThat(looks.coming(8).number()).isEqualTo(3);
  }

  @Test
  void looksThatMeetShareTheirRisk() {
    Looks one = Looks.onTheWay(List.of(40));
    assertThat(one.ends()).containsExactly(1);
    assertThat(one.risks().getFirst()).isCloseTo(0.05, within(1e-15));
    assertThat(one.after(1).orElseThrow().level()).isEqualTo("95 %");
    Looks two = Looks.onTheWay(List.of(40, 40));
    assertThat(two.ends()).containsExactly(1, 2);
    assertThat(two.risks().getFirst()).isCloseTo(0.015, within(1e-15));
    assertThat(Looks.atTheEnd(7).after(7).orElseThrow()).isEqualTo(Look.ONLY);
    assertThatThrownBy(() -> new Looks(List.of(), List.of()))
        .isInstanceOf(IllegalArgumentException.class);
  }

  /// Result of one run: at which look it passed, 0 where it did not.
  private static int passedAt(TokenScores scores, int documents, Looks looks, Bounds bounds) {
    for (int end : looks.ends()) {
      Look look = looks.after(end).orElseThrow();
      TokenScores seen = end == documents ? scores : first(scores, end * LENGTH);
      Verdict verdict =
          Judge.judge(
              Profile.W8A8,
              bounds,
              new Evidence(Optional.of(seen), List.of(), WEIGHTS, ModelChanges.NONE, look));
      if (verdict.passed()) {
        return look.number();
      }
    }
    return 0;
  }

  /// Documents that differ, with tokens that differ: mean KL and mean logarithm of the PPL ratio
  /// are [#MEAN] over all text.
  private static TokenScores draw(SplittableRandom random, int documents, double effect) {
    int n = documents * LENGTH;
    TokenScores scores = PlantedScores.identical(n);
    double hard = 1;
    double shift = 0;
    for (int i = 0; i < n; i++) {
      if (i % LENGTH == 0) {
        hard = Math.exp(effect * random.nextGaussian() - effect * effect / 2);
        shift = effect * MEAN * random.nextGaussian();
      }
      scores.sequence()[i] = i / LENGTH;
      scores.position()[i] = i % LENGTH;
      scores.kl()[i] = MEAN * hard * Math.exp(1.2 * random.nextGaussian() - 0.72);
      scores.logQ()[i] = scores.logP()[i] - MEAN - shift + 3 * MEAN * random.nextGaussian();
    }
    return scores;
  }

  private static TokenScores first(TokenScores s, int n) {
    return new TokenScores(
        java.util.Arrays.copyOf(s.sequence(), n),
        java.util.Arrays.copyOf(s.position(), n),
        java.util.Arrays.copyOf(s.target(), n),
        java.util.Arrays.copyOf(s.kl(), n),
        java.util.Arrays.copyOf(s.forcedKl(), n),
        java.util.Arrays.copyOf(s.logP(), n),
        java.util.Arrays.copyOf(s.logQ(), n),
        java.util.Arrays.copyOf(s.sameTop(), n),
        java.util.Arrays.copyOf(s.sameTopForced(), n),
        java.util.Arrays.copyOf(s.eosShift(), n));
  }

  /// At which looks runs passed; entry 0 counts those that did not.
  private static int[] simulate(int documents, double effect, double klBound, double ratioBound) {
    SplittableRandom random = new SplittableRandom(61);
    Looks looks = Looks.onTheWay(Collections.nCopies(documents, LENGTH));
    Bounds bounds =
        new Bounds(
            Map.of(Metric.MEAN_KL, klBound, Metric.PPL_RATIO, ratioBound, Metric.NON_FINITE, 0.0));
    int[] passed = new int[4];
    for (int run = 0; run < RUNS; run++) {
      passed[passedAt(draw(random, documents, effect), documents, looks, bounds)]++;
    }
    double tokens = 0.25 * passed[1] + 0.5 * passed[2] + passed[3] + passed[0];
    System.out.printf(
        "%d documents, effect %.1f, KL at %.2f and log PPL at %.2f of their bounds: passes at looks"
            + " %d, %d, %d of %d; %.0f %% of the tokens used%n",
        documents,
        effect,
        MEAN / klBound,
        MEAN / Math.log(ratioBound),
        passed[1],
        passed[2],
        passed[3],
        RUNS,
        100 * tokens / RUNS);
    return passed;
  }

  @ParameterizedTest
  @CsvSource({
    "32, 0.6, 1, 2",
    "64, 0.3, 1, 2",
    "64, 0.6, 1, 2",
    "64, 0.3, 2, 1",
    "128, 0.6, 1, 2",
    "64, 0.3, 1, 1"
  })
  void aResultAtABoundPassesInFivePercentOverAllGatesAndLooks(
      int documents, double effect, double kl, double ratio) {
    int[] passed = simulate(documents, effect, MEAN * kl, Math.exp(MEAN * ratio));
    double share = 1 - (double) passed[0] / RUNS;
    double error = Math.sqrt(0.05 * 0.95 / RUNS);
    assertThat(share).isLessThan(0.05 + 2 * error);
  }

  /// A half of what the bounds allow.
  @Test
  void aGoodResultPassesAndSavesText() {
    int[] passed = simulate(128, 0.3, 2 * MEAN, Math.exp(2 * MEAN));
    assertThat(passed[0]).isLessThan(RUNS / 50);
    assertThat(passed[1]).isGreaterThan(RUNS / 2);
  }

  /// What looking three times at limits of 95 % would do.
  @Test
  void looksAtTheUsualLevelWouldLetTooManyPass() {
    SplittableRandom random = new SplittableRandom(62);
    Looks eager = new Looks(List.of(16, 32, 64), List.of(0.05, 0.05, 0.05));
    Bounds bounds = new Bounds(Map.of(Metric.MEAN_KL, MEAN));
    int passed = 0;
    for (int run = 0; run < RUNS; run++) {
      passed += passedAt(draw(random, 64, 0.3), 64, eager, bounds) > 0 ? 1 : 0;
    }
    System.out.printf("three looks at 95 %%: %.1f %% pass at the bound%n", 100.0 * passed / RUNS);
    assertThat((double) passed / RUNS).isGreaterThan(0.07);
  }
}
