package smelt.calibrate.model;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// Every architecture against an independent implementation in F64, feature by feature.
///
/// The bound: a rounding to F32 moves a number by up to 2^-24 of itself. From embedding to logits a
/// number passes some 3 layers x 10 operations whose longest sums have 40 terms; errors of such
/// sums grow like the root of their length, so with random signs sqrt(30) x sqrt(40) x 2^-24 = 2e-6
/// of the largest number met, about 15 among the logits: 3e-5. Sharp softmaxes (scores up to 15)
/// amplify by a few; the bound leaves that factor 3.
class PlantedModelsTest {

  private static final double BOUND = 1e-4;

  /// What a difference must exceed to be one of the computation and not of rounding.
  private static final double VISIBLE = 0.1;

  @TempDir private Path temporary;

  static List<String> models() {
    return Planted.NAMES;
  }

  static Stream<Arguments> configured() throws IOException {
    Stream.Builder<Arguments> out = Stream.builder();
    for (String name : Planted.NAMES) {
      for (Planted.Variant variant : Planted.of(name).variants()) {
        if (variant.isConfigured()) {
          out.add(Arguments.of(name, variant));
        }
      }
    }
    return out.build();
  }

  @ParameterizedTest
  @MethodSource("models")
  void computesLogitsAndHiddenStates(String name) throws IOException {
    Planted planted = Planted.of(name);
    check(planted, Planted.run(planted.model(), planted.sequences()));
  }

  @ParameterizedTest
  @MethodSource("models")
  void computesThemWithScalarKernels(String name) throws IOException {
    Planted planted = Planted.of(name);
    check(planted, Planted.runScalar(planted.model(), planted.sequences()));
  }

  @ParameterizedTest
  @MethodSource("models")
  void computesThemInTheLeastMemory(String name) throws IOException {
    Planted planted = Planted.of(name);
    List<int[]> sequences = planted.sequences();
    int longest = sequences.stream().mapToInt(ids -> ids.length).max().orElseThrow();
    long least;
    try (ModelSource source = ModelSources.open(planted.model())) {
      least = ReferenceModel.leastScratch(Checkpoint.open(source), longest);
    }
    SampleRun run = SampleRun.of(planted.model(), sequences, Planted.SETUP.scratch(least));
    check(planted, run);
    assertThat(run.bytesRead()).isGreaterThan(Planted.run(planted.model(), sequences).bytesRead());
  }

  private static void check(Planted planted, SampleRun run) {
    for (int layer = 0; layer + 1 < run.layerHidden().size(); layer++) {
      double[][] hidden = planted.expected().numbers("hidden." + layer + ".0").orElseThrow();
      assertThat(distance(hidden, run.layerHidden().get(layer + 1), 0))
          .as("hidden state behind layer %d", layer)
          .isLessThan(BOUND);
    }
    int first = 0;
    for (int s = 0; s < planted.sequences().size(); s++) {
      double[][] logits = planted.expected().numbers("logits." + s).orElseThrow();
      assertThat(distance(logits, run.logits(), first))
          .as("logits of sequence %d", s)
          .isLessThan(BOUND);
      first += logits.length;
    }
  }

  @ParameterizedTest
  @MethodSource("models")
  void choosesTheSameExpertsWithTheSameWeights(String name) throws IOException {
    Planted planted = Planted.of(name);
    SampleRun run = Planted.run(planted.model(), planted.sequences());
    int compared = 0;
    for (int layer = 0; layer + 1 < run.layerHidden().size(); layer++) {
      boolean routed = planted.expected().numbers("experts." + layer + ".0").isPresent();
      if (routed) {
        Routing routing = run.routings().get(compared++);
        long first = 0;
        for (int s = 0; s < planted.sequences().size(); s++) {
          first += compare(planted.expected(), layer + "." + s, routing, first);
        }
      }
    }
    assertThat(run.routings()).hasSize(compared);
  }

  /// Margins of these models all exceed 2e-4, so no token may have other experts.
  private static long compare(TensorFile expected, String key, Routing routing, long first) {
    double[][] experts = expected.numbers("experts." + key).orElseThrow();
    double[][] weights = expected.numbers("weights." + key).orElseThrow();
    double[][] margins = expected.numbers("margin." + key).orElseThrow();
    for (int i = 0; i < experts.length; i++) {
      long token = first + i;
      assertThat(IntStream.range(0, routing.k()).mapToDouble(r -> routing.expert(token, r)))
          .as("experts of token %d, layer and sequence %s", i, key)
          .containsExactlyInAnyOrder(Arrays.stream(experts[i]).boxed().toArray(Double[]::new));
      for (int rank = 0; rank < routing.k(); rank++) {
        double weight = weights[i][indexOf(experts[i], routing.expert(token, rank))];
        assertThat(Math.abs(routing.weight(token, rank) - weight)).isLessThan(BOUND);
      }
      assertThat(Math.abs(routing.margin(token) - margins[i][0])).isLessThan(BOUND);
    }
    return experts.length;
  }

  private static int indexOf(double[] values, double wanted) {
    return IntStream.range(0, values.length)
        .filter(i -> values[i] == wanted)
        .findFirst()
        .orElse(-1);
  }

  @ParameterizedTest
  @MethodSource("configured")
  void followsTheConfig(String name, Planted.Variant variant) throws IOException {
    Planted planted = Planted.of(name);
    Path folder = planted.withConfig(temporary.resolve("model"), variant.config());
    SampleRun run = Planted.run(folder, planted.sequences().subList(0, 1));
    double[][] expected = planted.expected().numbers(variant.tensor()).orElseThrow();
    assertThat(distance(expected, run.logits(), 0)).isLessThan(BOUND);
  }

  @ParameterizedTest
  @MethodSource("models")
  void wouldNoticeAnotherComputation(String name) throws IOException {
    Planted planted = Planted.of(name);
    SampleRun run = Planted.run(planted.model(), planted.sequences().subList(0, 1));
    assertThat(planted.variants())
        .isNotEmpty()
        .allSatisfy(variant -> {
          double[][] other = planted.expected().numbers(variant.tensor()).orElseThrow();
          assertThat(distance(other, run.logits(), 0)).as(variant.name()).isGreaterThan(VISIBLE);
        });
  }

  private static double distance(double[][] expected, float[][] rows, int first) {
    double worst = 0;
    for (int token = 0; token < expected.length; token++) {
      for (int i = 0; i < expected[token].length; i++) {
        worst = Math.max(worst, Math.abs(expected[token][i] - rows[first + token][i]));
      }
    }
    return worst;
  }
}
