package smelt.converter.onepass;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.calibrate.smooth.Pair;
import smelt.converter.SampleModel;
import smelt.converter.recipe.Recipe;
import smelt.converter.recipe.Recipes;
import smelt.converter.run.Converting;
import smelt.converter.target.Target;
import smelt.formats.Share;
import smelt.formats.checkpoint.Architecture;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.SyntheticCheckpoint;
import smelt.formats.files.Sha256;
import smelt.formats.source.CountingModelSource;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;
import smelt.verify.quality.Gate;
import smelt.verify.quality.Metric;
import smelt.verify.quality.QualityReport;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class OnePassTest {

  private static final Path FP8 = SampleModel.path(SampleModel.FP8);
  private static final Path BF16 = SampleModel.path(SampleModel.BF16);
  private static final int VOCABULARY = 1536;

  @TempDir Path folder;

  private Recipe recipe(String targets) throws IOException {
    Path file = folder.resolve("own.yaml");
    Files.writeString(file, "name: own\nshard_size: 3M\ntargets:\n" + targets);
    return Recipes.load(file.toString());
  }

  /// Digests of all tensors in the shards below a folder, by target and name.
  private static Map<String, String> tensors(Path out) throws IOException {
    Map<String, String> digests = new TreeMap<>();
    try (Stream<Path> files = Files.walk(out)) {
      for (Path file : files.filter(f -> f.toString().endsWith(".safetensors")).toList()) {
        byte[] bytes = Files.readAllBytes(file);
        int header = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getInt();
        JsonNode tensors = JsonMapper.shared().readTree(bytes, Long.BYTES, header);
        for (Map.Entry<String, JsonNode> tensor : tensors.properties()) {
          JsonNode range = tensor.getValue().path("data_offsets");
          if (range.isArray()) {
            int first = Long.BYTES + header + range.get(0).asInt();
            int end = Long.BYTES + header + range.get(1).asInt();
            digests.put(
                out.relativize(file.getParent()) + " " + tensor.getKey(),
                Sha256.hex(Arrays.copyOfRange(bytes, first, end)));
          }
        }
      }
    }
    return digests;
  }

  /// The tensors in which two outputs differ.
  private static List<String> differences(Path a, Path b) throws IOException {
    Map<String, String> one = tensors(a);
    Map<String, String> other = tensors(b);
    assertThat(one).isNotEmpty();
    assertThat(other.keySet()).isEqualTo(one.keySet());
    return one.keySet().stream().filter(name -> !one.get(name).equals(other.get(name))).toList();
  }

  private static PassRun calibrated(Recipe recipe) {
    return new PassRun(
        recipe,
        PassRun.texts(
            PassRun.texts(1, 3, 50, VOCABULARY), PassRun.texts(2, Share.of(2, 4), 24, VOCABULARY)));
  }

  /// One pass over a model, with every byte of the source counted that is read after the headers.
  private OnePass.Result counted(PassRun run, Path model, Path out) throws IOException {
    try (ModelSource origin = ModelSources.open(model);
        CountingModelSource source = new CountingModelSource(origin)) {
      Checkpoint checkpoint = Checkpoint.open(source);
      run.pass(source, checkpoint);
      long before = source.bytesRead();
      OnePass.Result result = run.run(source, checkpoint, out);
      long read = source.bytesRead() - before;
      System.out.printf(
          "%s: read %,d of %,d bytes, %.4f%n",
          out.getFileName(),
          result.bytesRead(),
          checkpoint.tensorBytes(),
          (double) result.bytesRead() / checkpoint.tensorBytes());
      assertThat(result.bytesRead()).isLessThanOrEqualTo(read);
      assertThat(result.bytesRead())
          .isBetween(checkpoint.tensorBytes(), checkpoint.tensorBytes() * 102 / 100);
      assertThat(read - sideFiles(checkpoint, run.recipe().targets().size()))
          .isLessThanOrEqualTo(checkpoint.tensorBytes() * 102 / 100);
      return result;
    }
  }

  /// Bytes that are read of files beside the shards: for each target when it is planned, when its
  /// memory is, and when it is judged.
  private static long sideFiles(Checkpoint checkpoint, int targets) {
    return 3L * targets * checkpoint.sideFiles().stream().mapToLong(file -> file.size()).sum();
  }

  @Test
  void readsTheSourceOnceForTwoCalibratedAndVerifiedTargets() throws Exception {
    PassRun run =
        calibrated(
            recipe(
                """
                  - target: int8-channel
                    smooth: usual
                  - target: ct-w4a16
                    solver: {'re:model\\.layers\\.2\\.mlp\\.experts\\.[0-3]\\.': gptq}
                """));
    OnePass.Result result = counted(run, FP8, folder.resolve("once"));
    assertThat(result.reports().keySet()).containsExactly("int8-channel-smooth", "ct-w4a16-gptq");
    run.runInSteps(FP8, folder.resolve("steps"));
    assertThat(differences(folder.resolve("once"), folder.resolve("steps"))).isEmpty();
    Map<String, String> made = tensors(folder.resolve("once"));
    String norm = " model.layers.2.post_attention_layernorm.weight";
    assertThat(made.get("int8-channel-smooth" + norm))
        .as("factors that all experts of a layer have decided")
        .isNotEqualTo(made.get("ct-w4a16-gptq" + norm));
    for (Map.Entry<String, QualityReport> found :
        Share.of(List.copyOf(result.reports().entrySet()), 1)) {
      Path one = folder.resolve("steps").resolve(found.getKey());
      Set<Pair.Kind> smoothed = found.getKey().endsWith("-smooth") ? Pair.Kind.usual() : Set.of();
      requireEqual(found.getValue(), run.verify(FP8, one, smoothed));
    }
    assertThat(result.reports().get("int8-channel-smooth").verdict().gates())
        .filteredOn(gate -> gate.metric() == Metric.WEIGHT_SQNR)
        .singleElement()
        .satisfies(gate -> assertThat(gate.outcome()).isEqualTo(Gate.Outcome.PASS));
  }

  /// All that is found in one pass is found afterwards too.
  private static void requireEqual(QualityReport once, QualityReport alone) {
    assertThat(once.verdict()).isEqualTo(alone.verdict());
    assertThat(once.tensors()).isEqualTo(alone.tensors());
    assertThat(once.layers()).isEqualTo(alone.layers());
    assertThat(once.tokens().orElseThrow().kl()).containsExactly(alone.tokens().orElseThrow().kl());
    assertThat(once.notes()).isEqualTo(alone.notes());
    assertThat(once.sizes()).isEqualTo(alone.sizes());
    assertThat(once.configChanges()).isEqualTo(alone.configChanges());
  }

  @Test
  void verifiesGgufAndPackedExpertsOnTheWayToo() throws Exception {
    PassRun run =
        new PassRun(
            recipe(
                """
                  - {target: gguf, type: q8_0}
                  - {target: gguf, type: q4_k, types: {routed_expert: q4_k_r4}}
                  - {target: kt-amx-int8, numa: 2}
                  - {target: kt-amx-int4, form: tree}
                """),
            PassRun.texts(List.of(), PassRun.texts(2, 2, 24, VOCABULARY)));
    OnePass.Result result = counted(run, FP8, folder.resolve("once"));
    assertThat(result.reports().keySet())
        .containsExactlyInAnyOrder(
            "gguf-q8_0", "gguf-q4_k-mixed", "kt-amx-int8-numa2", "kt-amx-int4-tree");
    for (Map.Entry<String, QualityReport> found :
        Share.of(List.copyOf(result.reports().entrySet()), 2)) {
      Path one = folder.resolve("once").resolve(found.getKey());
      requireEqual(found.getValue(), run.verify(FP8, one, Set.of()));
    }
  }

  @Test
  void convertsWhatTheModelDoesNotRun() throws Exception {
    Recipe recipe = Converting.recipe(Target.INT8_CHANNEL);
    List<int[]> one = PassRun.texts(3, 1, 3, VOCABULARY);
    OnePass.Result result =
        counted(new PassRun(recipe, PassRun.texts(List.of(), one)), FP8, folder.resolve("once"));
    Converting.with(recipe).run(FP8, folder.resolve("plain"));
    assertThat(Converting.digests(folder.resolve("once")))
        .isEqualTo(Converting.digests(folder.resolve("plain")));
    QualityReport report = result.reports().values().iterator().next();
    assertThat(report.experts().stream().filter(expert -> expert.tokens() == 0)).isNotEmpty();
  }

  @Test
  void readsAModelOfManyExpertsOnceToo() throws Exception {
    Path model = folder.resolve("model");
    SyntheticCheckpoint.of(Architecture.DEEPSEEK_V3)
        .form(SyntheticCheckpoint.Form.FP8_BLOCK)
        .write(model);
    int vocabulary;
    try (ModelSource source = ModelSources.open(model)) {
      vocabulary = Checkpoint.open(source).config().vocabSize();
    }
    PassRun run =
        new PassRun(
            recipe(
                """
                  - target: int8-channel
                    smooth: usual
                  - target: ct-int8
                    smooth: [up-down]
                """),
            PassRun.texts(
                PassRun.texts(5, 2, 20, vocabulary), PassRun.texts(6, 2, 20, vocabulary)));
    counted(run, model, folder.resolve("once"));
    run.runInSteps(model, folder.resolve("steps"));
    assertThat(differences(folder.resolve("once"), folder.resolve("steps"))).isEmpty();
  }

  @Test
  void goesOnAfterAFailureAndEndsWithTheSameBytes() throws Exception {
    PassRun run =
        calibrated(
            recipe(
                """
                  - {target: int8-channel, smooth: [input-norm, up-down]}
                  - {target: ct-w4a16, solver: {shared_expert: weighted}}
                  - {target: gguf, type: q8_0}
                  - {target: kt-amx-int8, form: tree}
                """));
    run.runInSteps(BF16, folder.resolve("steps"));
    Path out = folder.resolve("once");
    try (ModelSource broken = new CountingModelSource(ModelSources.open(BF16), 18_000_000)) {
      Checkpoint checkpoint = Checkpoint.open(broken);
      assertThatThrownBy(() -> run.run(broken, checkpoint, out)).isInstanceOf(IOException.class);
    }
    try (Stream<Path> files = Files.list(out.resolve(".smelt/receipts"))) {
      assertThat(files).isNotEmpty();
    }
    assertThat(Converting.names(out)).noneMatch(name -> name.endsWith(".part"));
    OnePass.Result result = counted(run, BF16, out);
    assertThat(result.conversion().unitsKept()).isPositive();
    assertThat(differences(out, folder.resolve("steps"))).isEmpty();
    for (String target : List.of("gguf-q8_0", "kt-amx-int8-tree")) {
      assertThat(Converting.digests(out.resolve(target)))
          .isNotEmpty()
          .isEqualTo(Converting.digests(folder.resolve("steps").resolve(target)));
    }
    String judged = judged(out);
    assertThat(judged).isEqualTo(judged(folder.resolve("steps"))).doesNotContain("\"000000000000");
  }

  /// What a manifest says of rows that a solver chose.
  private static String judged(Path out) throws IOException {
    return Files.readAllLines(out.resolve("ct-w4a16-weighted/manifest.json")).stream()
        .filter(line -> line.startsWith("\"held_out\""))
        .findFirst()
        .orElseThrow();
  }
}
