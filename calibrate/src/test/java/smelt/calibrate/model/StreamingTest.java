package smelt.calibrate.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.calibrate.model.SampleRun.Setup;
import smelt.formats.BadInputException;
import smelt.formats.Checkout;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.Architecture;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.SyntheticCheckpoint;
import smelt.formats.checkpoint.SyntheticCheckpoint.Form;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.KernelSet;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// How weights are read, and in how much memory.
class StreamingTest {

  @TempDir private Path temp;

  private static Path sample(String name) {
    return Checkout.root().resolve("samples").resolve(name);
  }

  private static int[] ids(int count, long seed) {
    return new Random(seed).ints(count, 0, 512).toArray();
  }

  @ParameterizedTest
  @ValueSource(strings = {"tiny-deepseek-v3", "tiny-deepseek-v3-fp8"})
  void readsEachWeightThatIsUsedOnce(String name) throws IOException {
    List<int[]> sequences = List.of(new int[] {5, 9, 700}, new int[] {9, 5});
    Checkpoint checkpoint = open(sample(name));
    long scratch = ReferenceModel.fullScratch(checkpoint, 5, 3);
    SampleRun run = SampleRun.of(sample(name), sequences, Setup.PLAIN.scratch(scratch));
    Set<Weight> chosen = chosen(checkpoint, run);
    assertThat(chosen.size()).as("weights of experts").isBetween(12 * 3, 3 * 16 * 3 - 1);
    long expected = 3 * WeightStream.leastBuffer(embedding(checkpoint));
    for (Weight weight : checkpoint.weights()) {
      boolean used =
          switch (weight.role()) {
            case TensorRole.Embedding _ -> false;
            case TensorRole.RoutedExpert _ -> chosen.contains(weight);
            default -> weight.role().layer().orElse(0) < 4;
          };
      expected += used ? weight.bytes() : 0;
    }
    assertThat(run.bytesRead()).isEqualTo(expected);
  }

  private static Checkpoint open(Path folder) throws IOException {
    try (ModelSource source = ModelSources.open(folder)) {
      return Checkpoint.open(source);
    }
  }

  private static Weight embedding(Checkpoint checkpoint) {
    return new ModelWeights(checkpoint).embedding();
  }

  private static Set<Weight> chosen(Checkpoint checkpoint, SampleRun run) {
    Set<Integer> experts = new TreeSet<>();
    for (int i = 0; i < run.routings().size(); i++) {
      Routing routing = run.routings().get(i);
      for (int token = 0; token < routing.tokens(); token++) {
        for (int rank = 0; rank < routing.k(); rank++) {
          experts.add(1000 * (i + 1) + routing.expert(token, rank));
        }
      }
    }
    return checkpoint.weights().stream()
        .filter(w ->
            w.role() instanceof TensorRole.RoutedExpert e
                && experts.contains(1000 * e.layerIndex() + e.expert()))
        .collect(java.util.stream.Collectors.toSet());
  }

  @ParameterizedTest
  @ValueSource(strings = {"tiny-deepseek-v3", "tiny-deepseek-v3-fp8"})
  void lessScratchMeansMoreReadingAndTheSameResult(String name) throws IOException {
    List<int[]> sequences = List.of(ids(20, 1), ids(12, 2), ids(20, 3), ids(3, 4));
    Setup scalar = Setup.PLAIN.kernels("scalar");
    long least = ReferenceModel.leastScratch(open(sample(name)), 20);
    SampleRun large = SampleRun.of(sample(name), sequences, scalar);
    SampleRun small = SampleRun.of(sample(name), sequences, scalar.scratch(least));
    assertThat(small.logits()).isDeepEqualTo(large.logits());
    assertThat(small.bytesRead()).isGreaterThan(large.bytesRead() * 3 / 2);
  }

  @Test
  void refusesASequenceThatTheScratchDoesNotHold() throws IOException {
    long least = ReferenceModel.leastScratch(open(sample("tiny-deepseek-v3")), 20);
    Setup setup = Setup.PLAIN.scratch(least);
    assertThatThrownBy(() -> SampleRun.of(sample("tiny-deepseek-v3"), List.of(ids(60, 1)), setup))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("60 tokens");
  }

  @Test
  void refusesIdsOutsideTheVocabulary() {
    assertThatThrownBy(() -> SampleRun.of(sample("tiny-deepseek-v3"), List.of(new int[] {1, 1536})))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("1536")
        .hasMessageContaining("0 to 1535");
  }

  @ParameterizedTest
  @EnumSource(Form.class)
  void tilesOfAnySizeHoldTheSameNumbers(Form form) throws IOException {
    Path folder = SyntheticCheckpoint.of(Architecture.DEEPSEEK_V3).form(form).write(temp);
    try (ModelSource source = ModelSources.open(folder);
        Arena arena = Arena.ofConfined()) {
      Checkpoint checkpoint = Checkpoint.open(source);
      Scratch scratch = new Scratch(arena.allocate(1 << 20));
      for (String name : List.of("self_attn.o_proj", "mlp.gate_proj", "input_layernorm")) {
        Weight weight = checkpoint.weight("model.layers.0." + name + ".weight").orElseThrow();
        float[][] whole = decode(source, weight, 1 << 20, 0, WeightStream.rows(weight), scratch);
        long least = WeightStream.leastBuffer(weight);
        for (long buffer : List.of(least, 2 * least + 1, 3 * least - 1)) {
          assertThat(decode(source, weight, buffer, 0, whole.length, scratch))
              .as("%s, buffer of %d bytes", name, buffer)
              .isDeepEqualTo(whole);
        }
        if (whole.length > 150) {
          assertThat(decode(source, weight, 1 << 20, 100, 50, scratch))
              .as("rows that begin inside a block")
              .isDeepEqualTo(java.util.Arrays.copyOfRange(whole, 100, 150));
        }
      }
    }
  }

  private static float[][] decode(
      ModelSource source, Weight weight, long buffer, long first, long rows, Scratch scratch)
      throws IOException {
    try (Arena arena = Arena.ofConfined();
        WeightStream stream = new WeightStream(source, arena.allocate(buffer))) {
      var out = smelt.calibrate.math.Matrix.zeros(arena, rows, WeightStream.cols(weight));
      stream.decode(KernelSet.choose("auto"), weight, first, out, scratch);
      return SampleRun.copy(out);
    }
  }

  @ParameterizedTest
  @EnumSource(Form.class)
  void runsEveryForm(Form form) throws IOException {
    Path folder = SyntheticCheckpoint.of(Architecture.DEEPSEEK_V3).form(form).write(temp);
    float[][] logits = SampleRun.of(folder, List.of(ids(9, 1))).logits();
    for (float[] row : logits) {
      for (float logit : row) {
        assertThat(logit).isFinite();
      }
    }
  }

  @Test
  void sparseAttentionIsRunAsFullAttentionUpToItsTopK() throws IOException {
    Path folder = SyntheticCheckpoint.of(Architecture.DEEPSEEK_V32).write(temp);
    assertThat(SampleRun.of(folder, List.of(ids(64, 1))).logits()).hasNumberOfRows(64);
    assertThatThrownBy(() -> SampleRun.of(folder, List.of(ids(3, 1), ids(65, 1))))
        .isInstanceOf(UnsupportedException.class)
        .hasMessageContaining("65 tokens")
        .hasMessageContaining("index_topk 64");
  }

  @Test
  void notesAFileThatChangedWhileItWasRead() throws IOException {
    EditableModel model = EditableModel.copy(sample("tiny-deepseek-v3"), temp);
    try (ModelSource source = ModelSources.open(temp);
        Compute compute =
            new Compute(MathKernelSet.choose("scalar"), KernelSet.choose("scalar"), 1);
        Arena arena = Arena.ofShared()) {
      Checkpoint checkpoint = Checkpoint.open(source);
      try (ReferenceModel reference = ReferenceModel.open(checkpoint, source, compute, 64L << 20)) {
        TokenBatch batch = TokenBatch.of(arena, List.of(ids(3, 1)), 256);
        reference.embed(batch);
        reference.layer(0, batch, LayerOptions.PLAIN);
        java.nio.file.Files.setLastModifiedTime(
            temp.resolve(model.weight(new TensorRole.Router(1)).codes().file()),
            java.nio.file.attribute.FileTime.fromMillis(1));
        assertThatThrownBy(() -> reference.layer(1, batch, LayerOptions.PLAIN))
            .isInstanceOf(BadInputException.class);
      }
    }
  }
}
