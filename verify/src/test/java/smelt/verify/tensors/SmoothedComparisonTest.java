package smelt.verify.tensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.calibrate.smooth.Coupling;
import smelt.calibrate.smooth.Couplings;
import smelt.calibrate.smooth.FoldedRows;
import smelt.calibrate.smooth.Folding;
import smelt.calibrate.smooth.Pair;
import smelt.formats.BadInputException;
import smelt.formats.Checkout;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.KernelSet;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;
import smelt.verify.quality.TensorScore;

/// The BF16 sample against a copy between whose weights factors have passed: without rounding every
/// weight is to be exact.
class SmoothedComparisonTest {

  private static final Path MODEL = Checkout.root().resolve("samples/tiny-deepseek-v3");
  private static final Set<Pair.Kind> ALL = EnumSet.allOf(Pair.Kind.class);
  private static final long PLENTY = 64L << 20;
  private static final ValueLayout.OfShort U16 =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  @TempDir Path folder;

  /// Powers of two that differ from channel to channel go into a copy, which stays exact.
  private Path smoothed(Set<Pair.Kind> kinds) throws IOException {
    try (Stream<Path> files = Files.list(MODEL)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Files.copy(file, folder.resolve(file.getFileName()));
      }
    }
    Random random = new Random(11);
    try (ModelSource source = ModelSources.open(folder)) {
      Checkpoint model = Checkpoint.open(source);
      List<Folding> foldings = new ArrayList<>();
      for (Coupling coupling : Couplings.of(model).all(kinds)) {
        float[] factors = new float[coupling.channels()];
        for (int c = 0; c < factors.length; c++) {
          factors[c] = Math.scalb(1f, random.nextInt(-13, 14));
        }
        foldings.add(Folding.of(coupling, factors));
      }
      Folding all = Folding.combine(foldings);
      for (Weight weight : model.weights()) {
        Optional<FoldedRows> rows = all.rows(weight);
        if (rows.isPresent()) {
          multiply(weight, rows.get());
        }
      }
    }
    return folder;
  }

  private void multiply(Weight weight, FoldedRows factors) throws IOException {
    long rows = weight.shape().rank() == 2 ? weight.shape().dim(0) : 1;
    int cols = Math.toIntExact(weight.shape().elements() / rows);
    MemorySegment values = MemorySegment.ofArray(new float[cols]);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment codes =
          Converted.tile(weight, folder, arena, FileChannel.MapMode.READ_WRITE).codes();
      for (long row = 0; row < rows; row++) {
        for (long c = 0; c < cols; c++) {
          int bits = codes.get(U16, Short.BYTES * (row * cols + c)) << 16;
          values.set(ValueLayout.JAVA_INT_UNALIGNED, Float.BYTES * c, bits);
        }
        factors.multiply(row, 1, cols, values, 0);
        for (long c = 0; c < cols; c++) {
          int bits = values.get(ValueLayout.JAVA_INT_UNALIGNED, Float.BYTES * c);
          codes.set(U16, Short.BYTES * (row * cols + c), (short) (bits >>> 16));
        }
      }
    }
  }

  /// Flips a bit of one BF16 number.
  private void spoil(String name, long number, int bit) throws IOException {
    try (ModelSource source = ModelSources.open(folder);
        Arena arena = Arena.ofConfined()) {
      Weight weight = Checkpoint.open(source).weight(name).orElseThrow();
      MemorySegment codes =
          Converted.tile(weight, folder, arena, FileChannel.MapMode.READ_WRITE).codes();
      long at = Short.BYTES * number;
      codes.set(U16, at, (short) (codes.get(U16, at) ^ 1 << bit));
    }
  }

  private TensorComparison.Result compare(Set<Pair.Kind> kinds, int threads) throws IOException {
    try (ModelSource a = ModelSources.open(MODEL);
        ModelSource b = ModelSources.open(folder)) {
      ComparedModels models =
          new ComparedModels(Checkpoint.open(a), a, Checkpoint.open(b), b, kinds);
      return TensorComparison.run(models, KernelSet.choose("auto"), threads, PLENTY, _ -> {});
    }
  }

  private static List<String> different(TensorComparison.Result found) {
    return found.tensors().stream()
        .filter(score -> !score.bitExact())
        .map(TensorScore::tensor)
        .toList();
  }

  @Test
  void tellsTheFactorsOfEveryPair() throws IOException {
    smoothed(ALL);
    assertThat(different(compare(ALL, 3))).isEmpty();
    assertThat(different(compare(Set.of(), 3)))
        .contains(
            "model.layers.2.input_layernorm.weight",
            "model.layers.2.self_attn.kv_b_proj.weight",
            "model.layers.2.mlp.gate.weight",
            "model.layers.2.mlp.experts.7.gate_proj.weight",
            "model.layers.2.mlp.experts.7.down_proj.weight");
  }

  @Test
  void tellsNoFactorsOfPairsThatAreNotNamed() throws IOException {
    smoothed(ALL);
    Set<Pair.Kind> named = EnumSet.of(Pair.Kind.INPUT_NORM, Pair.Kind.QUERY_NORM);
    assertThat(different(compare(named, 2)))
        .contains(
            "model.layers.2.post_attention_layernorm.weight",
            "model.layers.2.mlp.experts.7.up_proj.weight",
            "model.layers.2.mlp.experts.7.down_proj.weight")
        .doesNotContain(
            "model.layers.2.input_layernorm.weight",
            "model.layers.2.self_attn.q_a_proj.weight",
            "model.layers.2.self_attn.q_b_proj.weight");
  }

  @Test
  void findsWhatWasNotSmoothedAsItIs() throws IOException {
    smoothed(Set.of());
    assertThat(different(compare(ALL, 2))).isEmpty();
  }

  @Test
  void aSpoiledNumberIsNoFactor() throws IOException {
    smoothed(ALL);
    spoil("model.layers.1.input_layernorm.weight", 5, 6);
    spoil("model.layers.2.mlp.experts.3.up_proj.weight", 7, 6);
    spoil("model.layers.3.self_attn.o_proj.weight", 9, 15);
    assertThat(different(compare(ALL, 2)))
        .contains(
            "model.layers.1.input_layernorm.weight",
            "model.layers.2.mlp.experts.3.up_proj.weight",
            "model.layers.3.self_attn.o_proj.weight")
        .allMatch(name ->
            name.matches(
                "model.layers.(1.input_layernorm|1.self_attn.(q_a|kv_a)_.*"
                    + "|2.mlp.experts.3.(up|down)_proj|3.self_attn.o_proj).weight"));
  }

  @Test
  void aWrongFactorShowsInWhatReadsTheChannel() throws IOException {
    smoothed(ALL);
    spoil("model.layers.1.input_layernorm.weight", 5, 7);
    assertThat(different(compare(ALL, 2)))
        .isNotEmpty()
        .allMatch(name -> name.startsWith("model.layers.1.self_attn."));
  }

  @Test
  void figuresDependNeitherOnThreadsNorOnPieces() throws IOException {
    smoothed(EnumSet.complementOf(EnumSet.of(Pair.Kind.LATENT_NORM)));
    spoil("model.layers.1.mlp.experts.3.up_proj.weight", 7, 6);
    TensorComparison.Result whole = compare(ALL, 1);
    assertThat(compare(ALL, 4)).isEqualTo(whole);
    try (ModelSource a = ModelSources.open(MODEL);
        ModelSource b = ModelSources.open(folder)) {
      Checkpoint source = Checkpoint.open(a);
      PiecemealComparison pieces =
          new PiecemealComparison(
              new ComparedModels(source, a, Checkpoint.open(b), b, ALL),
              KernelSet.choose("auto"),
              2,
              PLENTY);
      String expert = "model.layers.2.mlp.experts.3.";
      assertThatThrownBy(() -> pieces.compare(List.of(expert + "gate_proj.weight")))
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("before model.layers.2.post_attention_layernorm.weight");
      List<String> names = new ArrayList<>(source.weights().stream().map(Weight::name).toList());
      List<String> norms = names.stream().filter(name -> name.contains("norm")).toList();
      names.removeAll(norms);
      pieces.compare(norms);
      for (String part : List.of(".self_attn.", ".mlp.", "")) {
        List<String> own = names.stream().filter(name -> name.contains(part)).toList();
        pieces.compare(own);
        names.removeAll(own);
      }
      assertThat(pieces.result()).isEqualTo(whole);
    }
  }

  @Test
  void factorsArePartOfTheMemory() throws IOException {
    smoothed(ALL);
    try (ModelSource a = ModelSources.open(MODEL);
        ModelSource b = ModelSources.open(folder)) {
      Checkpoint source = Checkpoint.open(a);
      Checkpoint result = Checkpoint.open(b);
      ComparedModels models = new ComparedModels(source, a, result, b, ALL);
      long memory = TensorComparison.memoryBytes(source, result, ALL, 1);
      int hidden = source.config().hiddenSize();
      assertThat(memory - TensorComparison.memoryBytes(source, result, Set.of(), 1))
          .as("one norm at least, and a few pairs at most")
          .isBetween((long) Float.BYTES * hidden, 16L * Float.BYTES * hidden);
      assertThat(
              TensorComparison.run(models, KernelSet.choose("auto"), 4, memory, _ -> {}).tensors())
          .allMatch(TensorScore::bitExact);
      assertThatThrownBy(
              () -> TensorComparison.run(models, KernelSet.choose("auto"), 4, memory - 1, _ -> {}))
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining("at least " + memory);
    }
  }
}
