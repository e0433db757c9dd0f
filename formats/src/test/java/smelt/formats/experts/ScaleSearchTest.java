package smelt.formats.experts;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ScaleSearchTest {

  private static final int LARGEST = 7;

  private final ScaleSearch search = new ScaleSearch(LARGEST);

  @ParameterizedTest
  @CsvSource({"32, 200", "128, 100", "2048, 10", "7168, 4"})
  void losesNextToNothingAgainstTheWalkOverAllNumbers(int n, int rows) {
    Random random = new Random(11);
    double worst = 0;
    double found = 0;
    double best = 0;
    for (int row = 0; row < rows; row++) {
      float[] x = tailed(random, n, 1 + row % 3);
      float[] h = new float[n];
      for (int i = 0; i < n; i++) {
        h[i] = (float) Math.exp(random.nextGaussian());
      }
      byte[] codes = new byte[n];
      float scale = search.quantize(x, h, 0, n, codes);
      double error = error(x, h, codes, scale);
      double least = exact(x, h);
      assertThat(error).isGreaterThanOrEqualTo(least * (1 - 1e-6));
      found += error;
      best += least;
      worst = Math.max(worst, error / least);
    }
    assertThat(10 * Math.log10(found / best)).isLessThan(0.01);
    assertThat(worst).isLessThan(1.05);
  }

  /// The walk is right: no choice of codes is better, with every choice tried.
  @Test
  void theWalkOverAllNumbersIsTheBestOfAllChoices() {
    Random random = new Random(12);
    for (int trial = 0; trial < 40; trial++) {
      float[] x = tailed(random, 4, 1 + trial % 3);
      float[] h = {1, 2, 0.5f, 1.5f};
      double least = Double.MAX_VALUE;
      for (int choice = 0; choice < 15 * 15 * 15 * 15; choice++) {
        byte[] codes = {
          (byte) (choice % 15 - 7),
          (byte) (choice / 15 % 15 - 7),
          (byte) (choice / 225 % 15 - 7),
          (byte) (choice / 3375 - 7)
        };
        least = Math.min(least, fitted(x, h, codes));
      }
      assertThat(exact(x, h))
          .isCloseTo(least, org.assertj.core.data.Percentage.withPercentage(1e-6));
    }
  }

  @Test
  void gainsThreeDecibelsOnLongRows() {
    Random random = new Random(13);
    int n = 7168;
    double upstream = 0;
    double searched = 0;
    for (int row = 0; row < 6; row++) {
      float[] x = tailed(random, n, 1);
      float[] ones = new float[n];
      Arrays.fill(ones, 1);
      byte[] codes = new byte[n];
      float d = RowRule.KT_INT4.quantize(x, n, codes);
      upstream += error(x, ones, codes, 16 * d);
      searched += error(x, ones, codes, search.quantize(x, 0, n, codes));
    }
    assertThat(10 * Math.log10(upstream / searched)).isBetween(2.9, 3.4);
  }

  @Test
  void definesRowsOfZerosAndOfTinyNumbers() {
    byte[] codes = {1, 1, 1};
    assertThat(search.quantize(new float[3], 0, 3, codes)).isZero();
    assertThat(codes).containsOnly(0);
    float[] tiny = {Float.MIN_VALUE, -0x1p-130f, 0};
    assertThat(search.quantize(tiny, 0, 3, codes)).isZero();
    assertThat(codes).containsOnly(0);
    float[] huge = {3e38f, -3e38f, 0};
    float scale = search.quantize(huge, 0, 3, codes);
    assertThat(scale * codes[0]).isCloseTo(3e38f, within(1e33f));
    assertThat(codes[1]).isEqualTo((byte) -codes[0]);
    assertThat(codes[2]).isZero();
  }

  @Test
  void keepsWhatFitsExactly() {
    float[] x = new float[64];
    for (int i = 0; i < x.length; i++) {
      x[i] = (i % 15 - 7) * 0.25f;
    }
    byte[] codes = new byte[64];
    assertThat(search.quantize(x, 0, 64, codes)).isEqualTo(0.25f);
    assertThat(IntStream.range(0, 64).allMatch(i -> codes[i] == i % 15 - 7)).isTrue();
  }

  private static org.assertj.core.data.Offset<Float> within(float offset) {
    return org.assertj.core.data.Offset.offset(offset);
  }

  /// Gaussian for `power` 1, with heavier tails above.
  private static float[] tailed(Random random, int n, int power) {
    float[] x = new float[n];
    for (int i = 0; i < n; i++) {
      double g = random.nextGaussian();
      x[i] = (float) (0.02 * Math.signum(g) * Math.pow(Math.abs(g), power));
    }
    return x;
  }

  private static double error(float[] x, float[] h, byte[] codes, float scale) {
    double sum = 0;
    for (int i = 0; i < x.length; i++) {
      double e = x[i] - (double) codes[i] * scale;
      sum += h[i] * e * e;
    }
    return sum;
  }

  private static double fitted(float[] x, float[] h, byte[] codes) {
    double a = 0;
    double b = 0;
    double all = 0;
    for (int i = 0; i < x.length; i++) {
      a += (double) h[i] * x[i] * codes[i];
      b += (double) h[i] * codes[i] * codes[i];
      all += (double) h[i] * x[i] * x[i];
    }
    return b == 0 ? all : all - a * a / b;
  }

  /// The walk over every step of every number.
  private static double exact(float[] x, float[] h) {
    int n = x.length;
    Integer[] steps = IntStream.range(0, n * LARGEST).boxed().toArray(Integer[]::new);
    Arrays.sort(
        steps,
        (s, t) ->
            Double.compare(
                (s % LARGEST + 0.5) / Math.abs(x[s / LARGEST]),
                (t % LARGEST + 0.5) / Math.abs(x[t / LARGEST])));
    double a = 0;
    double b = 0;
    double most = 0;
    for (int step : steps) {
      double weight = h[step / LARGEST];
      a += weight * Math.abs(x[step / LARGEST]);
      b += weight * (2 * (step % LARGEST) + 1);
      most = Math.max(most, a * a / b);
    }
    double all = 0;
    for (int i = 0; i < n; i++) {
      all += (double) h[i] * x[i] * x[i];
    }
    return all - most;
  }
}
