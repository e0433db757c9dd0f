package smelt.calibrate.solve;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.Random;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import smelt.calibrate.solve.RowGrid.ScaleType;

class ScaleWalkTest {

  private static final double ROUNDING = 1e-5;

  @ParameterizedTest
  @CsvSource({
    "32, 7, 300",
    "128, 7, 100",
    "2048, 7, 10",
    "7168, 7, 4",
    "33, 127, 60",
    "512, 127, 5"
  })
  void isTheBestOfAllRoundings(int n, int largest, int groups) {
    Random random = new Random(31);
    ScaleWalk walk = new ScaleWalk(new RowGrid(n, largest, ScaleType.F32));
    for (int group = 0; group < groups; group++) {
      float[] x = tailed(random, n, 1 + group % 3);
      float[] h = importance(random, n);
      double found = error(x, h, walk.search(x, h, 0, n), largest);
      double least = exact(x, h, largest);
      assertThat(found).isBetween(least * (1 - ROUNDING), least * (1 + ROUNDING));
    }
  }

  /// The oracle is right: no choice of codes is better, with every choice tried.
  @Test
  void noChoiceOfCodesIsBetter() {
    Random random = new Random(32);
    int largest = 7;
    ScaleWalk walk = new ScaleWalk(new RowGrid(4, largest, ScaleType.F32));
    for (int trial = 0; trial < 20; trial++) {
      float[] x = tailed(random, 4, 1 + trial % 3);
      float[] h = importance(random, 4);
      double least = bruteForce(x, h, largest, new int[4], 0);
      assertThat(exact(x, h, largest)).isBetween(least * (1 - 1e-9), least * (1 + 1e-9));
      double found = error(x, h, walk.search(x, h, 0, 4), largest);
      assertThat(found).isBetween(least * (1 - ROUNDING), least * (1 + ROUNDING));
    }
  }

  /// Eight numbers, with codes up to 7: the sign of the best code is that of the number, so 8^8
  /// choices are all there are.
  @Test
  void noChoiceOfCodesIsBetterForEightNumbers() {
    Random random = new Random(33);
    ScaleWalk walk = new ScaleWalk(new RowGrid(8, 7, ScaleType.F32));
    for (int trial = 0; trial < 3; trial++) {
      float[] x = tailed(random, 8, 1 + trial);
      float[] h = importance(random, 8);
      double least = bruteForceOfMagnitudes(x, h);
      double found = error(x, h, walk.search(x, h, 0, 8), 7);
      assertThat(found).isBetween(least * (1 - ROUNDING), least * (1 + ROUNDING));
    }
  }

  @ParameterizedTest
  @CsvSource({"32, 7", "128, 7", "32, 127"})
  void isTheBestOfAllBf16(int n, int largest) {
    Random random = new Random(34);
    ScaleWalk walk = new ScaleWalk(new RowGrid(n, largest, ScaleType.BF16));
    for (int group = 0; group < 100; group++) {
      float[] x = tailed(random, n, 1 + group % 3);
      float[] h = importance(random, n);
      float scale = walk.search(x, h, 0, n);
      assertThat(Float.floatToRawIntBits(scale) & 0xFFFF).isZero();
      double least = Double.MAX_VALUE;
      int absmax = Float.floatToRawIntBits(absmax(x)) >>> 16;
      for (int bits = absmax + 256; bits > absmax - 14 * 128; bits--) {
        least = Math.min(least, error(x, h, Float.intBitsToFloat(bits << 16), largest));
      }
      assertThat(error(x, h, scale, largest)).isLessThanOrEqualTo(least * (1 + 1e-6));
    }
  }

  @ParameterizedTest
  @CsvSource({"F32, 7", "BF16, 7", "F32, 127"})
  void leavesNoMoreThanAnyOtherMethod(ScaleType type, int largest) {
    Random random = new Random(35);
    ScaleWalk[] walks = new ScaleWalk[129];
    for (int group = 0; group < 10_000; group++) {
      int n = new int[] {8, 32, 128}[group % 3];
      if (walks[n] == null) {
        walks[n] = new ScaleWalk(new RowGrid(n, largest, type));
      }
      float[] x = tailed(random, n, 1 + group % 3);
      float[] h = importance(random, n);
      double found = error(x, h, walks[n].search(x, h, 0, n), largest);
      for (float other : others(x, h, largest)) {
        double error = error(x, h, type.nearest(other), largest);
        assertThat(found).as("group %d", group).isLessThanOrEqualTo(error * (1 + ROUNDING));
      }
    }
  }

  /// Scales of absmax, of a grid of 20 shrunk ranges, and of alternating least squares.
  private static float[] others(float[] x, float[] h, int largest) {
    float absmax = absmax(x) / largest;
    ToDoubleFunction<Float> error = scale -> error(x, h, scale, largest);
    float best = absmax;
    for (int step = 1; step < 20; step++) {
      float scale = absmax * (1 - step / 20f);
      best = error.applyAsDouble(scale) < error.applyAsDouble(best) ? scale : best;
    }
    float fitted = absmax;
    for (int round = 0; round < 50; round++) {
      double a = 0;
      double b = 0;
      for (int i = 0; i < x.length; i++) {
        double code = Math.clamp(Math.rint(x[i] / fitted), -largest, largest);
        a += h[i] * x[i] * code;
        b += h[i] * code * code;
      }
      fitted = (float) (a / b);
    }
    return new float[] {absmax, best, fitted};
  }

  @Test
  void givesNothingForZerosAndForTinyNumbers() {
    for (ScaleType type : ScaleType.values()) {
      ScaleWalk walk = new ScaleWalk(new RowGrid(3, 7, type));
      float[] ones = {1, 1, 1};
      assertThat(walk.search(new float[3], ones, 0, 3)).isZero();
      assertThat(walk.search(new float[] {Float.MIN_VALUE, 0, 0}, ones, 0, 3)).isZero();
      float scale = walk.search(new float[] {3e38f, -3e38f, 0}, ones, 0, 3);
      assertThat(Math.rint(3e38f / scale) * scale)
          .isCloseTo(3e38, org.assertj.core.data.Percentage.withPercentage(0.5));
    }
  }

  @Test
  void countsAllAlikeWhereNothingIsKnown() {
    ScaleWalk walk = new ScaleWalk(new RowGrid(32, 7, ScaleType.F32));
    float[] x = tailed(new Random(36), 32, 2);
    float[] ones = new float[32];
    Arrays.fill(ones, 1);
    assertThat(walk.search(x, new float[32], 0, 32)).isEqualTo(walk.search(x, ones, 0, 32));
  }

  /// Numbers that do not count may be cut off however far they are out.
  @Test
  void passesOverWhatDoesNotCount() {
    ScaleWalk walk = new ScaleWalk(new RowGrid(9, 7, ScaleType.F32));
    float[] x = {1000, 1, 2, 3, 4, 5, 6, 7, -7};
    float[] h = {0, 1, 1, 1, 1, 1, 1, 1, 1};
    assertThat(walk.search(x, h, 0, 9)).isEqualTo(1);
  }

  private static float absmax(float[] x) {
    float absmax = 0;
    for (float v : x) {
      absmax = Math.max(absmax, Math.abs(v));
    }
    return absmax;
  }

  /// Gaussian for `power` 1, with heavier tails above.
  static float[] tailed(Random random, int n, int power) {
    float[] x = new float[n];
    for (int i = 0; i < n; i++) {
      double g = random.nextGaussian();
      x[i] = (float) (0.02 * Math.signum(g) * Math.pow(Math.abs(g), power));
    }
    return x;
  }

  static float[] importance(Random random, int n) {
    float[] h = new float[n];
    for (int i = 0; i < n; i++) {
      h[i] = (float) Math.exp(random.nextGaussian());
    }
    return h;
  }

  private static double error(float[] x, float[] h, float scale, int largest) {
    double sum = 0;
    for (int i = 0; i < x.length; i++) {
      double e = x[i] - Math.clamp(Math.rint(x[i] / scale), -largest, largest) * scale;
      sum += h[i] * e * e;
    }
    return sum;
  }

  private static double bruteForce(float[] x, float[] h, int largest, int[] codes, int from) {
    if (from == x.length) {
      return fitted(x, h, codes);
    }
    double least = Double.MAX_VALUE;
    for (int code = -largest; code <= largest; code++) {
      codes[from] = code;
      least = Math.min(least, bruteForce(x, h, largest, codes, from + 1));
    }
    return least;
  }

  private static double bruteForceOfMagnitudes(float[] x, float[] h) {
    double[][] a = new double[x.length][8];
    double[][] b = new double[x.length][8];
    for (int i = 0; i < x.length; i++) {
      for (int code = 0; code < 8; code++) {
        a[i][code] = (double) h[i] * Math.abs(x[i]) * code;
        b[i][code] = (double) h[i] * code * code;
      }
    }
    double most = 0;
    for (int choice = 1; choice < 1 << 24; choice++) {
      double sumA = 0;
      double sumB = 0;
      for (int i = 0; i < 8; i++) {
        int code = choice >>> (3 * i) & 7;
        sumA += a[i][code];
        sumB += b[i][code];
      }
      most = Math.max(most, sumA * sumA / sumB);
    }
    return all(x, h) - most;
  }

  private static double all(float[] x, float[] h) {
    return IntStream.range(0, x.length).mapToDouble(i -> (double) h[i] * x[i] * x[i]).sum();
  }

  private static double fitted(float[] x, float[] h, int[] codes) {
    double a = 0;
    double b = 0;
    for (int i = 0; i < x.length; i++) {
      a += (double) h[i] * x[i] * codes[i];
      b += (double) h[i] * codes[i] * codes[i];
    }
    return b == 0 ? all(x, h) : all(x, h) - a * a / b;
  }

  /// The walk over every step of every number, all sorted.
  private static double exact(float[] x, float[] h, int largest) {
    int n = x.length;
    Integer[] steps = IntStream.range(0, n * largest).boxed().toArray(Integer[]::new);
    double[] at =
        IntStream.range(0, n * largest)
            .mapToDouble(s -> (s % largest + 0.5) / Math.abs(x[s / largest]))
            .toArray();
    Arrays.sort(steps, (s, t) -> Double.compare(at[s], at[t]));
    double a = 0;
    double b = 0;
    double most = 0;
    for (int step : steps) {
      double weight = h[step / largest];
      a += weight * Math.abs(x[step / largest]);
      b += weight * (2 * (step % largest) + 1);
      most = Math.max(most, a * a / b);
    }
    return all(x, h) - most;
  }
}
