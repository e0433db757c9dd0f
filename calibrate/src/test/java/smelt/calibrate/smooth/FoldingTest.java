package smelt.calibrate.smooth;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import smelt.formats.Checkout;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Weight;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// Factors between neighbours leave a model's logits as they are, for every kind of pair and every
/// architecture, and do not when a reader is left out.
class FoldingTest {

  /// Of the largest logit. Each folded number is rounded twice more, by up to 2^-24 of itself.
  private static final double BOUND = 1e-5;

  private static final Set<Pair.Kind> ALL = EnumSet.allOf(Pair.Kind.class);

  private static final List<String> PLANTED =
      List.of(
          "deepseek-v2-lite",
          "deepseek-v2",
          "deepseek-v3.2",
          "qwen3-moe",
          "qwen3-moe-sparse-step",
          "qwen2",
          "llama",
          "mixtral");

  @TempDir private Path temporary;

  static Path planted(String name) {
    return Checkout.root()
        .resolve("calibrate/src/test/resources/models")
        .resolve(name)
        .resolve("model");
  }

  static Path sample() {
    return Checkout.root().resolve("samples/tiny-deepseek-v3");
  }

  static Couplings couplings(Path model) throws IOException {
    try (ModelSource source = ModelSources.open(model)) {
      return Couplings.of(Checkpoint.open(source));
    }
  }

  static List<int[]> sequences(int count, int vocabulary) {
    return List.of(
        new Random(3).ints(count, 0, vocabulary).toArray(),
        new Random(5).ints(count / 2, 0, vocabulary).toArray());
  }

  /// Factors between 1/16 and 16, spread evenly by ratio.
  static float[] factors(Coupling coupling, boolean exact) {
    Random random = new Random(coupling.pair().hashCode());
    float[] factors = new float[coupling.channels()];
    for (int i = 0; i < factors.length; i++) {
      factors[i] = (float) Math.pow(2, 8 * random.nextDouble() - 4);
    }
    return exact ? PowersOfTwo.nearest(factors) : factors;
  }

  static Folding folding(List<Coupling> couplings, boolean exact) {
    return Folding.combine(couplings.stream().map(c -> Folding.of(c, factors(c, exact))).toList());
  }

  private Path written(Path model, Folding folding) throws IOException {
    Path folder =
        temporary.resolve(
            "folded"
                + IntStream.iterate(0, i -> i + 1)
                    .filter(i -> !temporary.resolve("folded" + i).toFile().exists())
                    .findFirst()
                    .orElseThrow());
    return FoldedModel.write(model, folding, FoldedModel.Form.F32, folder);
  }

  static Stream<Arguments> kinds() throws IOException {
    List<Arguments> cases = new ArrayList<>();
    for (String name : PLANTED) {
      for (Pair.Kind kind : ALL) {
        if (!couplings(planted(name)).all(Set.of(kind)).isEmpty()) {
          cases.add(Arguments.of(name, kind));
        }
      }
    }
    return cases.stream();
  }

  static List<String> planted() {
    return PLANTED;
  }

  @ParameterizedTest
  @MethodSource("kinds")
  void everyKindOfPairLeavesTheLogits(String name, Pair.Kind kind) throws IOException {
    Path model = planted(name);
    Logits own = Logits.of(model, sequences(24, 48), "auto");
    Folding folding = folding(couplings(model).all(Set.of(kind)), false);
    assertThat(own.relative(Logits.of(written(model, folding), sequences(24, 48), "auto")))
        .isLessThan(BOUND);
  }

  @ParameterizedTest
  @MethodSource("planted")
  void allPairsTogetherLeaveTheLogits(String name) throws IOException {
    Path model = planted(name);
    Folding folding = folding(couplings(model).all(ALL), false);
    Logits own = Logits.of(model, sequences(24, 48), "auto");
    assertThat(folding.isExact()).isFalse();
    assertThat(own.relative(Logits.of(written(model, folding), sequences(24, 48), "auto")))
        .isLessThan(BOUND);
  }

  @ParameterizedTest
  @MethodSource("planted")
  void powersOfTwoLeaveEveryBit(String name) throws IOException {
    Path model = planted(name);
    Folding folding = folding(couplings(model).all(ALL), true);
    assertThat(folding.isExact()).isTrue();
    Path folded = written(model, folding);
    for (String kernels : List.of("scalar", "auto")) {
      assertThat(Logits.of(folded, sequences(24, 48), kernels).values())
          .isEqualTo(Logits.of(model, sequences(24, 48), kernels).values());
    }
  }

  @Test
  void everyKindOfPairLeavesTheLogitsOfTheSample() throws IOException {
    Couplings couplings = couplings(sample());
    Logits own = Logits.of(sample(), sequences(64, 1536), "auto");
    List<List<Coupling>> cases = new ArrayList<>();
    ALL.forEach(kind -> cases.add(couplings.all(Set.of(kind))));
    cases.add(couplings.all(ALL));
    for (List<Coupling> all : cases) {
      assertThat(all).isNotEmpty();
      Path folded = written(sample(), folding(all, false));
      double distance = own.relative(Logits.of(folded, sequences(64, 1536), "auto"));
      System.out.printf("%s: %.1e%n", all.getLast().pair().title(), distance);
      assertThat(distance).as(all.getFirst().pair().title()).isLessThan(BOUND);
    }
  }

  @ParameterizedTest
  @MethodSource("kinds")
  void wouldNoticeAReaderLeftOut(String name, Pair.Kind kind) throws IOException {
    Path model = planted(name);
    Logits own = Logits.of(model, sequences(24, 48), "auto");
    Coupling whole = couplings(model).all(Set.of(kind)).getFirst();
    for (Weight left : whole.consumers()) {
      if (!left.name().contains("indexer") && !left.name().contains("experts")) {
        List<Weight> rest = whole.consumers().stream().filter(w -> !w.equals(left)).toList();
        Folding folding = withoutChecks(whole, rest);
        assertThat(own.relative(Logits.of(written(model, folding), sequences(24, 48), "auto")))
            .as(left.name())
            .isGreaterThan(1e-3);
      }
    }
  }

  private static Folding withoutChecks(Coupling whole, List<Weight> consumers) {
    return Folding.of(
        new Coupling(whole.pair(), whole.channels(), whole.producers(), consumers, whole.columns()),
        factors(whole, true));
  }

  @Test
  void theIndexerReadsBothNorms() throws IOException {
    Couplings couplings = couplings(planted("deepseek-v3.2"));
    assertThat(names(couplings.of(new Pair.InputNorm(0))))
        .containsExactlyInAnyOrder(
            "self_attn.q_a_proj.weight",
            "self_attn.kv_a_proj_with_mqa.weight",
            "self_attn.indexer.wk.weight",
            "self_attn.indexer.weights_proj.weight");
    assertThat(names(couplings.of(new Pair.QueryNorm(0))))
        .containsExactlyInAnyOrder("self_attn.q_b_proj.weight", "self_attn.indexer.wq_b.weight");
  }

  private static List<String> names(Coupling coupling) {
    return coupling.consumers().stream()
        .map(w -> w.name().substring("model.layers.0.".length()))
        .toList();
  }

  @Test
  void routerAndAllExpertsReadTheirNorm() throws IOException {
    Coupling coupling = couplings(sample()).of(new Pair.FeedForwardNorm(1));
    assertThat(coupling.consumers()).hasSize(1 + 2 * 16 + 2);
    assertThat(coupling.consumers()).anyMatch(w -> w.name().endsWith("mlp.gate.weight"));
  }

  @Test
  void valueRowsHaveTheirBiasScaled() throws IOException {
    Coupling coupling = couplings(planted("qwen2")).of(new Pair.ValueOutput(0));
    assertThat(coupling.producers())
        .extracting(p -> p.weight().name())
        .containsExactly(
            "model.layers.0.self_attn.v_proj.weight", "model.layers.0.self_attn.v_proj.bias");
  }

  @Test
  void latentFactorsLeaveTheRotatedRows() throws IOException {
    Coupling coupling = couplings(sample()).of(new Pair.LatentNorm(0));
    assertThat(coupling.channels()).isEqualTo(128);
    Folding folding = Folding.of(coupling, factors(coupling, true));
    assertThat(coupling.weights())
        .extracting(Weight::name)
        .containsExactlyInAnyOrderElementsOf(folding.names());
    assertThat(folding.names())
        .containsExactlyInAnyOrder(
            "model.layers.0.self_attn.kv_a_layernorm.weight",
            "model.layers.0.self_attn.kv_b_proj.weight");
  }

  @Test
  void keyRowsStayWhenValuesAreScaled() throws IOException {
    Coupling coupling = couplings(sample()).of(new Pair.ValueOutput(0));
    Weight keysAndValues = coupling.producers().getFirst().weight();
    float[] rows =
        Folding.of(coupling, factors(coupling, true)).rowFactors(keysAndValues).orElseThrow();
    for (int row = 0; row < rows.length; row++) {
      if (row % 128 < 64) {
        assertThat(rows[row]).isEqualTo(1);
      }
    }
    assertThat(rows[64]).isEqualTo(1 / factors(coupling, true)[0]);
    assertThat(rows[3 * 128 + 127]).isEqualTo(1 / factors(coupling, true)[255]);
  }

  @Test
  void refusesWhatAModelDoesNotHave() throws IOException {
    Couplings couplings = couplings(sample());
    assertThatThrownBy(() -> couplings.of(new Pair.InputNorm(4)))
        .isInstanceOf(UnsupportedException.class)
        .hasMessageContaining("input-norm of layer 4, which is for multi-token prediction");
    assertThatThrownBy(() -> couplings(planted("llama")).of(new Pair.QueryNorm(0)))
        .isInstanceOf(UnsupportedException.class)
        .hasMessageContaining("query-norm of layer 0 in a LlamaForCausalLM");
    assertThat(couplings(planted("llama")).all(Set.of(Pair.Kind.QUERY_NORM))).isEmpty();
  }

  @Test
  void refusesFactorsThatCannotBeUndone() throws IOException {
    Coupling coupling = couplings(sample()).of(new Pair.LatentNorm(0));
    for (float wrong : new float[] {0, -1, Float.NaN, Float.POSITIVE_INFINITY, 1e-39f}) {
      float[] factors = factors(coupling, true);
      factors[3] = wrong;
      assertThatThrownBy(() -> Folding.of(coupling, factors))
          .isInstanceOf(IllegalArgumentException.class);
    }
  }
}
