package smelt.calibrate.smooth;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import smelt.calibrate.model.WeightStream;
import smelt.calibrate.observe.InputStats;
import smelt.formats.Checkout;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.KernelSet;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// Factors follow their formula, the searched ones lower the error that rounding really makes, and
/// that error is what was expected.
class SmoothingTest {

  private static final int TOKENS = 400;

  private static Coupling coupling;
  private static ColumnStats stats;
  private static float[][] weight;

  @BeforeAll
  static void readAWeight() throws IOException {
    try (ModelSource source = ModelSources.open(FoldingTest.sample());
        Arena arena = Arena.ofConfined();
        WeightStream stream = new WeightStream(source, arena.allocate(10_000))) {
      coupling = Couplings.of(Checkpoint.open(source)).of(new Pair.ValueOutput(2));
      Weight output = coupling.consumers().getFirst();
      stats = ColumnStats.read(output, stream, KernelSet.choose("auto"), 64);
      weight = decoded(output, stream);
    }
  }

  private static float[][] decoded(Weight weight, WeightStream stream) throws IOException {
    float[][] rows = new float[(int) WeightStream.rows(weight)][];
    stream.read(
        weight,
        0,
        rows.length,
        (tile, first) -> {
          for (int r = 0; r < tile.rows(); r++) {
            float[] row = new float[(int) tile.cols()];
            for (int c = 0; c < row.length; c++) {
              long at = tile.codesOffset() + 2L * (r * row.length + c);
              int low = tile.codes().get(java.lang.foreign.ValueLayout.JAVA_BYTE, at) & 0xFF;
              int high = tile.codes().get(java.lang.foreign.ValueLayout.JAVA_BYTE, at + 1);
              row[c] = Float.intBitsToFloat(high << 24 | low << 16);
            }
            rows[(int) first + r] = row;
          }
        });
    return rows;
  }

  /// Inputs of which some channels are larger; `tail` 1 is Gaussian, above it heavier.
  private static float[][] inputs(double tail, double outlier) {
    Random random = new Random(17);
    double[] sizes = new double[256];
    for (int c = 0; c < sizes.length; c++) {
      sizes[c] = Math.exp(random.nextGaussian() / 2) * (c % 64 == 5 ? outlier : 1);
    }
    float[][] x = new float[TOKENS][256];
    for (float[] token : x) {
      for (int c = 0; c < token.length; c++) {
        double g = random.nextGaussian();
        token[c] = (float) (Math.signum(g) * Math.pow(Math.abs(g), tail) * sizes[c]);
      }
    }
    return x;
  }

  private static InputStats statsOf(float[][] x) {
    float[] absmax = new float[x[0].length];
    float[] squares = new float[absmax.length];
    float least = 0;
    float most = 0;
    for (float[] token : x) {
      for (int c = 0; c < absmax.length; c++) {
        absmax[c] = Math.max(absmax[c], Math.abs(token[c]));
        squares[c] += token[c] * token[c] / x.length;
        least = Math.min(least, token[c]);
        most = Math.max(most, token[c]);
      }
    }
    return new InputStats(x.length, least, most, absmax, squares);
  }

  private static float[] rounded(float[] values, float[] factors, boolean divided) {
    float[] scaled = new float[values.length];
    float largest = 0;
    for (int c = 0; c < values.length; c++) {
      scaled[c] = divided ? values[c] / factors[c] : values[c] * factors[c];
      largest = Math.max(largest, Math.abs(scaled[c]));
    }
    float scale = largest / 127;
    for (int c = 0; c < values.length && scale > 0; c++) {
      scaled[c] = (float) Math.rint(scaled[c] / scale) * scale;
    }
    return scaled;
  }

  /// Noise by signal of products whose both sides are really rounded.
  private static double measured(float[][] x, float[] factors) {
    float[][] roundedWeight =
        Arrays.stream(weight).map(row -> rounded(row, factors, false)).toArray(float[][]::new);
    double noise = 0;
    double signal = 0;
    for (float[] token : x) {
      float[] input = rounded(token, factors, true);
      for (int r = 0; r < weight.length; r++) {
        double exact = 0;
        double made = 0;
        for (int c = 0; c < token.length; c++) {
          exact += (double) token[c] * weight[r][c];
          made += (double) input[c] * roundedWeight[r][c];
        }
        noise += (made - exact) * (made - exact);
        signal += exact * exact;
      }
    }
    return noise / signal;
  }

  private static Smoothing choose(float[][] x, Strength strength, boolean exact) {
    return Smoothing.choose(coupling, statsOf(x), List.of(stats), strength, exact);
  }

  @ParameterizedTest
  @ValueSource(doubles = {1, 8, 64})
  void theExpectedErrorIsTheMeasuredOne(double outlier) {
    for (double tail : new double[] {1, 2}) {
      float[][] x = inputs(tail, outlier);
      Smoothing smoothing = choose(x, Strength.USUAL, false);
      float[] plain = new float[256];
      Arrays.fill(plain, 1);
      double before = measured(x, plain);
      double after = measured(x, smoothing.factors());
      System.out.printf(
          "outliers %.0f, tail %.0f: plain %.2e (expected %.2e), smoothed %.2e (expected %.2e)%n",
          outlier, tail, before, smoothing.plainError(), after, smoothing.error());
      assertThat(smoothing.plainError() / before).isBetween(0.5, 2.0);
      assertThat(smoothing.error() / after).isBetween(0.5, 2.0);
    }
  }

  @ParameterizedTest
  @ValueSource(doubles = {1, 8, 64})
  void searchedFactorsRoundBetterThanNone(double outlier) {
    float[][] x = inputs(1, outlier);
    float[] plain = new float[256];
    Arrays.fill(plain, 1);
    for (boolean exact : new boolean[] {true, false}) {
      Smoothing searched = choose(x, new Strength.Searched(), exact);
      assertThat(searched.error()).isLessThanOrEqualTo(searched.plainError());
      assertThat(searched.error()).isLessThanOrEqualTo(choose(x, Strength.USUAL, exact).error());
      double gain = measured(x, plain) / measured(x, searched.factors());
      System.out.printf(
          "outliers %.0f, %s: alpha %s, error by %.2f%n",
          outlier, exact ? "powers of two" : "any factors", searched.alpha(), gain);
      assertThat(gain).isGreaterThan(outlier == 1 ? 0.98 : outlier / 4);
    }
  }

  @Test
  void factorsFollowTheFormula() {
    float[][] x = inputs(1, 8);
    float[] factors = choose(x, new Strength.Fixed(0.75), false).factors();
    float[] absmax = statsOf(x).channelAbsmax();
    float[] sorted = absmax.clone();
    Arrays.sort(sorted);
    float[] columns = stats.absmax();
    double ratio = drawn(absmax[9], sorted[128]) / drawn(absmax[100], sorted[128]);
    double expected = Math.pow(ratio, 0.75) / Math.pow(columns[9] / columns[100], 0.25);
    assertThat(factors[9] / factors[100]).isCloseTo((float) expected, withinRatio(expected));
    double logs = IntStream.range(0, 256).mapToDouble(c -> Math.log(factors[c])).sum();
    assertThat(logs).isBetween(-1e-3, 1e-3);
  }

  private static double drawn(double absmax, double median) {
    return Math.sqrt((TOKENS * absmax * absmax + 16 * median * median) / (TOKENS + 16));
  }

  /// Factors from two tokens are tried on others.
  @ParameterizedTest
  @ValueSource(doubles = {1, 64})
  void fewTokensSpoilNothing(double outlier) {
    float[][] x = inputs(1, outlier);
    float[][] few = Arrays.copyOf(x, 2);
    float[][] others = Arrays.copyOfRange(x, 2, 200);
    float[] plain = new float[256];
    Arrays.fill(plain, 1);
    double before = measured(others, plain);
    for (Strength strength : List.of(Strength.USUAL, new Strength.Searched())) {
      double after = measured(others, choose(few, strength, false).factors());
      System.out.printf("from 2 tokens, outliers %.0f: %.2e to %.2e%n", outlier, before, after);
      assertThat(after).isLessThan(1.1 * before);
    }
  }

  private static org.assertj.core.data.Offset<Float> withinRatio(double value) {
    return org.assertj.core.api.Assertions.within((float) (1e-5 * value));
  }

  @Test
  void deadChannelsKeepOneAndNoFactorIsExtreme() {
    float[][] x = inputs(1, 1);
    for (float[] token : x) {
      token[7] = 0;
      token[8] *= 1e20f;
    }
    float[] factors = choose(x, new Strength.Fixed(1), true).factors();
    assertThat(factors[7]).isEqualTo(1);
    for (float factor : factors) {
      assertThat(factor).isBetween(1 / 8192f, 8192f);
      assertThat(factor).isEqualTo(Math.scalb(1f, Math.getExponent(factor)));
    }
  }

  @Test
  void withoutTokensOrRoundedWeightsNothingChanges() {
    InputStats none = new InputStats(0, 0, 0, new float[256], new float[256]);
    Smoothing blind =
        Smoothing.choose(coupling, none, List.of(stats), new Strength.Searched(), true);
    Smoothing kept =
        Smoothing.choose(coupling, statsOf(inputs(1, 8)), List.of(), new Strength.Searched(), true);
    for (Smoothing smoothing : List.of(blind, kept)) {
      assertThat(smoothing.alpha()).isEmpty();
      assertThat(smoothing.folding().names()).isEmpty();
    }
  }

  @Test
  void columnsAreReadAsTheyAre() {
    float[] absmax = new float[256];
    double[] squares = new double[256];
    for (float[] row : weight) {
      for (int c = 0; c < 256; c++) {
        absmax[c] = Math.max(absmax[c], Math.abs(row[c]));
        squares[c] += (double) row[c] * row[c];
      }
    }
    assertThat(stats.absmax()).isEqualTo(absmax);
    assertThat(stats.sumSquares(77)).isEqualTo(squares[77]);
    assertThat(stats.sampled()).isEqualTo(64);
    float[] ones = new float[256];
    Arrays.fill(ones, 1);
    for (int i = 0; i < 64; i++) {
      float[] row = weight[4 * i];
      float largest = 0;
      for (float number : row) {
        largest = Math.max(largest, Math.abs(number));
      }
      assertThat(stats.largest(i, ones)).isEqualTo(largest);
    }
  }

  /// FP8 in blocks, read row by row of blocks and at once.
  @Test
  void tilesDoNotMatter() throws IOException {
    Path model = Checkout.root().resolve("samples/tiny-deepseek-v3-fp8");
    try (ModelSource source = ModelSources.open(model);
        Arena arena = Arena.ofConfined()) {
      Weight found =
          Checkpoint.open(source).weight("model.layers.1.self_attn.q_b_proj.weight").orElseThrow();
      try (WeightStream small =
              new WeightStream(source, arena.allocate(WeightStream.leastBuffer(found)));
          WeightStream large = new WeightStream(source, arena.allocate(1 << 20))) {
        ColumnStats one = ColumnStats.read(found, small, KernelSet.choose("scalar"), 5);
        ColumnStats other = ColumnStats.read(found, large, KernelSet.choose("auto"), 5);
        assertThat(one.absmax()).isEqualTo(other.absmax());
        assertThat(one.sumSquares(3)).isEqualTo(other.sumSquares(3)).isPositive();
        assertThat(one.largest(4, other.absmax())).isEqualTo(other.largest(4, other.absmax()));
      }
    }
  }

  @Test
  void theGammaFunctionIsRight() {
    assertThat(TokenMaximum.gamma(3)).isCloseTo(2, org.assertj.core.api.Assertions.within(1e-8));
    assertThat(TokenMaximum.gamma(1.5))
        .isCloseTo(Math.sqrt(Math.PI) / 2, org.assertj.core.api.Assertions.within(1e-8));
  }

  @Test
  void refusesWhatDoesNotBelongTogether() {
    InputStats other = new InputStats(1, 0, 0, new float[8], new float[8]);
    assertThatThrownBy(
            () -> Smoothing.choose(coupling, other, List.of(stats), Strength.USUAL, true))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> new Strength.Fixed(1.5)).isInstanceOf(IllegalArgumentException.class);
  }
}
