package smelt.verify.inference;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.lang.foreign.Arena;
import java.util.OptionalInt;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import smelt.calibrate.math.Matrix;

class VocabularySumsTest {

  private static final int VOCABULARY = 1000;

  private final Random random = new Random(7);

  @Test
  void agreesWithTheFormulasOverTheWholeVocabulary() {
    float[] p = logits(8);
    float[] q = near(p, 0.3);
    float[] f = near(p, 0.1);
    VocabularySums sums = sums(p, q, f, 128, 17, OptionalInt.of(3));
    assertThat(sums.kl(0)).isCloseTo(kl(p, q), within(1e-12));
    assertThat(sums.forcedKl(0)).isCloseTo(kl(p, f), within(1e-12));
    assertThat(sums.logP(0)).isCloseTo(logSoftmax(p, 17), within(1e-12));
    assertThat(sums.logQ(0)).isCloseTo(logSoftmax(q, 17), within(1e-12));
    assertThat(sums.eosShift(0)).isCloseTo(logSoftmax(q, 3) - logSoftmax(p, 3), within(1e-12));
    assertThat(sums.sameTop(0)).isEqualTo(top(p) == top(q));
    assertThat(sums.sameTopForced(0)).isEqualTo(top(p) == top(f));
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 7, 128, 333, VOCABULARY, 4096})
  void doesNotDependOnTheTilesButForRounding(int rows) {
    float[] p = logits(20);
    float[] q = near(p, 1);
    assertThat(sums(p, q, q, rows, 0, OptionalInt.empty()).kl(0))
        .isCloseTo(kl(p, q), within(1e-12));
  }

  @ParameterizedTest
  @ValueSource(doubles = {0, 1, 30, 1000})
  void isExactlyZeroForTheSameLogits(double spread) {
    float[] p = logits(spread);
    VocabularySums sums = sums(p, p.clone(), p.clone(), 96, 5, OptionalInt.of(9));
    assertThat(sums.kl(0)).isEqualTo(0);
    assertThat(sums.forcedKl(0)).isEqualTo(0);
    assertThat(sums.sameTop(0)).isTrue();
    assertThat(sums.eosShift(0)).isEqualTo(0);
    assertThat(sums.logQ(0)).isEqualTo(sums.logP(0));
  }

  @Test
  void isNeverNegativeHoweverSmallTheDifference() {
    for (int trial = 0; trial < 400; trial++) {
      float[] p = logits(Math.pow(10, random.nextInt(-2, 4)));
      float[] q = near(p, Math.pow(10, -random.nextInt(9)));
      float shift = trial % 3 == 0 ? 100f : 0f;
      for (int i = 0; i < q.length; i++) {
        q[i] += shift;
      }
      VocabularySums sums = sums(p, q, q, 128, 0, OptionalInt.empty());
      assertThat(sums.kl(0)).as("trial %d", trial).isNotNegative();
    }
  }

  @Test
  void aResultThatIsNotFiniteIsInfinitelyFar() {
    for (float bad : new float[] {Float.NaN, Float.POSITIVE_INFINITY}) {
      for (int at : new int[] {0, 500, VOCABULARY - 1}) {
        float[] p = logits(3);
        float[] q = p.clone();
        q[at] = bad;
        VocabularySums sums = sums(p, q, p.clone(), 128, 5, OptionalInt.of(2));
        assertThat(sums.kl(0)).isInfinite();
        assertThat(sums.sameTop(0)).isFalse();
        assertThat(sums.logQ(0)).isEqualTo(Double.NEGATIVE_INFINITY);
        assertThat(sums.forcedKl(0)).isEqualTo(0);
        assertThat(sums.sourceIsFinite(0)).isTrue();
        assertThat(sums(q, p, p, 128, 5, OptionalInt.of(2)).sourceIsFinite(0)).isFalse();
      }
    }
  }

  private float[] logits(double spread) {
    float[] logits = new float[VOCABULARY];
    for (int i = 0; i < logits.length; i++) {
      logits[i] = (float) (spread * random.nextGaussian());
    }
    return logits;
  }

  private float[] near(float[] logits, double distance) {
    float[] other = logits.clone();
    for (int i = 0; i < other.length; i++) {
      other[i] += (float) (distance * random.nextGaussian());
    }
    return other;
  }

  private static VocabularySums sums(
      float[] p, float[] q, float[] f, int tile, int target, OptionalInt eos) {
    VocabularySums sums = new VocabularySums(new int[] {target}, eos);
    try (Arena arena = Arena.ofConfined()) {
      Matrix all = Matrix.zeros(arena, 3, p.length);
      for (int i = 0; i < p.length; i++) {
        all.set(0, i, p[i]);
        all.set(1, i, q[i]);
        all.set(2, i, f[i]);
      }
      for (int first = 0; first < p.length; first += tile) {
        int count = Math.min(tile, p.length - first);
        Matrix part = all.columns(first, count);
        sums.add(0, first, part.rows(0, 1), 0, part.rows(1, 2), 0, 1, new VocabularySums.Scratch());
      }
    }
    return sums;
  }

  private static double kl(float[] p, float[] q) {
    double sum = 0;
    for (int i = 0; i < p.length; i++) {
      double log = logSoftmax(p, i);
      sum += Math.exp(log) * (log - logSoftmax(q, i));
    }
    return sum;
  }

  private static double logSoftmax(float[] logits, int at) {
    double max = Double.NEGATIVE_INFINITY;
    for (float logit : logits) {
      max = Math.max(max, logit);
    }
    double sum = 0;
    for (float logit : logits) {
      sum += Math.exp(logit - max);
    }
    return logits[at] - max - Math.log(sum);
  }

  private static int top(float[] logits) {
    int best = 0;
    for (int i = 1; i < logits.length; i++) {
      if (logits[i] > logits[best]) {
        best = i;
      }
    }
    return best;
  }
}
