package smelt.calibrate.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.ActivationScheme.None;
import smelt.calibrate.model.ActivationScheme.PerGroup;
import smelt.calibrate.model.ActivationScheme.PerTensor;
import smelt.calibrate.model.ActivationScheme.PerToken;
import smelt.calibrate.model.SampleRun.Setup;
import smelt.formats.Checkout;
import smelt.formats.ElementType;
import smelt.formats.codec.KernelSet;

class ActivationTest {

  private static float[][] round(ActivationScheme scheme, float[]... rows) {
    try (Arena arena = Arena.ofConfined()) {
      Matrix wide = Matrix.zeros(arena, rows.length, rows[0].length + 3);
      Matrix x = wide.columns(2, rows[0].length);
      for (int i = 0; i < rows.length; i++) {
        for (int j = 0; j < rows[i].length; j++) {
          x.set(i, j, rows[i][j]);
        }
      }
      Scratch scratch = new Scratch(arena.allocate(1 << 20));
      Matrix out = new ActivationRounding(KernelSet.choose("auto"), scratch).round(scheme, x);
      assertThat(SampleRun.copy(x)).as("the input").isDeepEqualTo(rows);
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

  @Test
  void aStaticScaleClipsAndHasAZeroPoint() {
    float[][] rounded =
        round(new PerTensor(0.5f, -10), new float[] {0, 0.7f, 0.75f, 1.25f, 200, -200});
    assertThat(rounded[0]).containsExactly(0, 0.5f, 1, 1, 68.5f, -59);
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
