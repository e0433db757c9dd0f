package smelt.calibrate.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.ActivationScheme.Affine;
import smelt.calibrate.model.ActivationScheme.None;
import smelt.calibrate.model.ActivationScheme.PerGroup;
import smelt.calibrate.model.ActivationScheme.PerTensor;
import smelt.calibrate.model.ActivationScheme.PerToken;
import smelt.calibrate.model.ActivationScheme.Shifted;
import smelt.calibrate.model.SampleRun.Setup;
import smelt.formats.Checkout;
import smelt.formats.ElementType;
import smelt.formats.codec.KernelSet;
import smelt.formats.codec.ScaleFormat;

class ActivationTest {

  private static float[][] round(ActivationScheme scheme, float[]... rows) {
    return round(1, scheme, rows);
  }

  private static float[][] round(int threads, ActivationScheme scheme, float[]... rows) {
    try (Arena arena = Arena.ofShared();
        Compute compute =
            new Compute(MathKernelSet.choose("auto"), KernelSet.choose("auto"), threads)) {
      Matrix wide = Matrix.zeros(arena, rows.length, rows[0].length + 3);
      Matrix x = wide.columns(2, rows[0].length);
      for (int i = 0; i < rows.length; i++) {
        for (int j = 0; j < rows[i].length; j++) {
          x.set(i, j, rows[i][j]);
        }
      }
      Scratch scratch = new Scratch(arena.allocate(4 << 20));
      Matrix out = new ActivationRounding(compute, scratch).round(scheme, x);
      assertThat(Arrays.deepEquals(SampleRun.copy(x), rows)).as("the input is kept").isTrue();
      return SampleRun.copy(out);
    }
  }

  @Test
  void eachTokenHasItsOwnScale() {
    float[][] rounded =
        round(
            new PerToken(ElementType.I8),
            new float[] {127, 0.6f, -2.4f, 0},
            new float[] {0, 0, 0, 0},
            new float[] {1.27f, 0.006f, -0.024f, 0.5f});
    assertThat(rounded[0]).containsExactly(127, 1, -2, 0);
    assertThat(rounded[1]).containsExactly(0, 0, 0, 0);
    assertThat(rounded[2]).containsExactly(new float[] {1.27f, 0.01f, -0.02f, 0.5f}, within(1e-6f));
  }

  @Test
  void eachGroupHasItsOwnScale() {
    float[][] rounded =
        round(new PerGroup(ElementType.F8_E4M3, 2), new float[] {448, 17, 4.48f, 0.17f, 1});
    assertThat(rounded[0]).containsExactly(new float[] {448, 16, 4.48f, 0.16f, 1}, within(1e-6f));
  }

  /// Halves go to the even code; -128 is a code.
  @Test
  void aStaticInt8ScaleRoundsAndClips() {
    float[][] rounded =
        round(
            new PerTensor(ElementType.I8, 0.5f),
            new float[] {0, 0.7f, 0.75f, 0.25f, -1.25f, 63.6f, 64, 200, -64, -64.3f, -200});
    assertThat(rounded[0]).containsExactly(0, 0.5f, 1, 0, -1, 63.5f, 63.5f, 63.5f, -64, -64, -64);
  }

  /// Between 16 and 32 E4M3 has steps of 2, below 2^-6 of 2^-9.
  @Test
  void aStaticE4m3ScaleRoundsAndClips() {
    float[][] rounded =
        round(
            new PerTensor(ElementType.F8_E4M3, 0.25f),
            new float[] {0, 4.25f, 4.75f, 112, 120, 1e6f, -1e6f, 0x1p-11f, 0x1p-12f, 0x3p-12f});
    assertThat(rounded[0]).containsExactly(0, 4, 5, 112, 112, 112, -112, 0x1p-11f, 0, 0x1p-10f);
  }

  /// The offset is added before rounding: 0.25 / 0.5 - 9 = -8.5 goes to the even -8, which is 0.5;
  /// rounded first it would be 0.
  @Test
  void aStaticScaleWithAnOffsetAddsItBeforeItRounds() {
    float[][] rounded =
        round(new Affine(0.5f, 2, -9), new float[] {0, 0.25f, 0.7f, 0.75f, 200, 68, -200, -59.5f});
    assertThat(rounded[0]).containsExactly(0, 0.5f, 0.5f, 0.5f, 68, 68, -59.5f, -59.5f);
  }

  /// The same numbers where the offset is added behind rounding: 0.25 / 0.5 goes to the even 0.
  @Test
  void anOffsetMayBeAddedToWhatIsWholeAlready() {
    float[][] rounded =
        round(new Shifted(0.5f, -9), new float[] {0, 0.25f, 0.7f, 0.75f, 200, 68, -200, -59.5f});
    assertThat(rounded[0]).containsExactly(0, 0, 0.5f, 1, 68, 68, -59.5f, -59.5f);
  }

  /// A runtime that holds the reciprocal of its scale in fewer bits rounds with another scale than
  /// it multiplies with.
  @Test
  void anInexactReciprocalShowsInTheCodes() {
    float[][] rounded = round(new Affine(0.01f, 99.5f, 0), new float[] {1, 0.5f, -0.25f});
    assertThat(rounded[0]).containsExactly(100 * 0.01f, 50 * 0.01f, -25 * 0.01f);
    rounded = round(new Affine(0.01f, 99.5f, 0), new float[] {1.2f, -1.2f});
    assertThat(rounded[0]).containsExactly(119 * 0.01f, -119 * 0.01f);
  }

  @Test
  void staticScalesKeepWhatIsNoNumber() {
    float[] faulty = {1, Float.NaN, Float.POSITIVE_INFINITY};
    assertThat(round(new PerTensor(ElementType.I8, 1), faulty)[0])
        .containsExactly(1, Float.NaN, 127);
    assertThat(round(new PerTensor(ElementType.F8_E4M3, 1), faulty)[0])
        .containsExactly(1, Float.NaN, 448);
    assertThat(round(new Affine(1, 1, 27), faulty)[0]).containsExactly(1, Float.NaN, 100);
    assertThat(round(new Shifted(1, 27), faulty)[0]).containsExactly(1, Float.NaN, 100);
  }

  static Stream<ActivationScheme> schemes() {
    return Stream.of(
        new PerToken(ElementType.I8),
        new PerToken(ElementType.F8_E4M3),
        new PerGroup(ElementType.I8, 128),
        new PerGroup(ElementType.F8_E4M3, 64, ScaleFormat.UE8M0),
        new PerTensor(ElementType.I8, 0.03f),
        new PerTensor(ElementType.F8_E4M3, 0.01f),
        new Affine(0.03f, 33.25f, 17),
        new Shifted(0.03f, 17));
  }

  /// 70 rows of 500 numbers are three tasks.
  @ParameterizedTest
  @MethodSource("schemes")
  void doesNotDependOnThreads(ActivationScheme scheme) {
    Random random = new Random(7);
    float[][] rows = new float[70][500];
    for (float[] row : rows) {
      for (int i = 0; i < row.length; i++) {
        row[i] = (float) random.nextGaussian();
      }
    }
    float[][] single = round(1, scheme, rows);
    assertThat(single[69]).isNotEqualTo(rows[69]);
    assertThat(round(3, scheme, rows)).isDeepEqualTo(single);
  }

  @Test
  void everyLinearIsAskedForAndNothingElse() throws IOException {
    Set<String> asked = new TreeSet<>();
    Activations activations =
        weight -> {
          asked.add(weight.role().label());
          return new None();
        };
    Path sample = Checkout.root().resolve("samples/tiny-deepseek-v3");
    SampleRun.of(
        sample,
        List.of(new int[] {1, 2, 3}),
        Setup.PLAIN.options(new LayerOptions(activations, Optional.empty())));
    assertThat(asked)
        .containsExactly(
            "attention.kv_a",
            "attention.kv_b",
            "attention.o",
            "attention.q_a",
            "attention.q_b",
            "dense_mlp",
            "head",
            "routed_expert",
            "router",
            "shared_expert");
  }

  /// INT8 per token has a step of 1/127 of the largest value; what that does to logits was measured
  /// once, and is far from nothing and from nonsense.
  @Test
  void roundedInputsMoveTheLogitsALittle() throws IOException {
    Path sample = Checkout.root().resolve("samples/tiny-deepseek-v3");
    List<int[]> sequences = Golden.tinyDeepSeek().sequences().subList(0, 1);
    float[][] exact = SampleRun.of(sample, sequences).logits();
    double int8 = divergence(sample, sequences, exact, new PerToken(ElementType.I8));
    double fp8 = divergence(sample, sequences, exact, new PerGroup(ElementType.F8_E4M3, 128));
    assertThat(int8).isBetween(1e-5, 1e-2);
    assertThat(fp8).isBetween(1e-5, 2e-2);
  }

  private static double divergence(
      Path sample, List<int[]> sequences, float[][] exact, ActivationScheme scheme)
      throws IOException {
    Activations activations =
        weight ->
            switch (weight.role().label()) {
              case "router", "head", "attention.kv_b" -> new None();
              default -> scheme;
            };
    Setup setup = Setup.PLAIN.options(new LayerOptions(activations, Optional.empty()));
    double kl = Windows.divergence(exact, SampleRun.of(sample, sequences, setup).logits());
    System.out.printf("%s: mean KL divergence %.2g%n", scheme.label(), kl);
    return kl;
  }
}
