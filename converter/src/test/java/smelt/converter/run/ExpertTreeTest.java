package smelt.converter.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import smelt.converter.OutputConflictException;
import smelt.converter.Program;
import smelt.converter.plan.Plan;
import smelt.converter.plan.TargetPlan;
import smelt.converter.recipe.Recipe;
import smelt.converter.recipe.Recipes;
import smelt.formats.Checkout;
import smelt.formats.checkpoint.Architecture;
import smelt.formats.checkpoint.Projection;
import smelt.formats.checkpoint.SyntheticCheckpoint;
import smelt.formats.experts.ExpertTensor;
import smelt.formats.safetensors.SafetensorsHeader;
import smelt.formats.safetensors.TensorEntry;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Experts as a tree of `.kt` files.
class ExpertTreeTest {

  /// Launch script, ledger and README.
  private static final int DEPLOY_FILES = 3;

  private static final Path FP8 = Checkout.root().resolve("samples/tiny-deepseek-v3-fp8");
  private static final JsonMapper MAPPER = JsonMapper.builder().build();
  private static final int EXPERTS = 2;
  private static final int GOLDEN_SIZE = 256;

  @TempDir Path folder;

  private Path recipeFile(String targets) throws IOException {
    Path file = folder.resolve("recipe.yaml");
    Files.writeString(file, "name: test\nshard_size: 3MiB\ntargets:\n" + targets);
    return file;
  }

  private Recipe recipe(String targets) throws IOException {
    return Recipes.load(recipeFile(targets).toString());
  }

  /// A model whose experts in layer 3 hold the golden numbers.
  private Path goldenModel() throws IOException {
    Path model =
        SyntheticCheckpoint.of(Architecture.DEEPSEEK_V3)
            .with("hidden_size", GOLDEN_SIZE)
            .with("moe_intermediate_size", GOLDEN_SIZE)
            .with("n_routed_experts", EXPERTS)
            .with("n_group", 1)
            .with("num_experts_per_tok", 1)
            .with("num_hidden_layers", 4)
            .with("first_k_dense_replace", 3)
            .write(folder.resolve("model"));
    long matrix = 2L * GOLDEN_SIZE * GOLDEN_SIZE;
    try (ModelSource source = ModelSources.open(model)) {
      for (String name : source.names()) {
        if (name.endsWith(".safetensors")) {
          try (ByteSource file = source.open(name);
              FileChannel out = FileChannel.open(model.resolve(name), StandardOpenOption.WRITE)) {
            SafetensorsHeader header = SafetensorsHeader.read(file);
            for (Projection projection : Projection.values()) {
              String what = projection.name().toLowerCase(java.util.Locale.ROOT);
              byte[] golden = Files.readAllBytes(Checkout.golden("kt/tree/in/" + what + ".bf16"));
              for (int e = 0; e < EXPERTS; e++) {
                String tensor = "model.layers.3.mlp.experts." + e + "." + what + "_proj.weight";
                for (TensorEntry entry : header.tensors()) {
                  if (entry.name().equals(tensor)) {
                    assertThat(entry.bytes()).isEqualTo(matrix);
                    out.write(
                        ByteBuffer.wrap(golden, (int) (e * matrix), (int) matrix),
                        header.offset(entry));
                  }
                }
              }
            }
          }
        }
      }
    }
    return model;
  }

  @ParameterizedTest
  @CsvSource({"kt-amx-int8, int8_tp2", "kt-amx-int4, int4_tp2"})
  void theProgramWritesTheRuntimesOwnTree(String target, String golden) throws IOException {
    Path expected = Checkout.golden("kt/tree/" + golden);
    Path out = folder.resolve("out");
    Path recipe = recipeFile("  - {target: " + target + ", numa: 2, form: tree, rule: upstream}\n");
    Program.Result result =
        Program.run(
            "convert",
            goldenModel().toString(),
            "--recipe",
            recipe.toString(),
            "-o",
            out.toString());
    assertThat(result.exit()).as(result.err()).isZero();
    Map<String, String> written = Converting.digests(out.resolve("experts"));
    boolean listed = written.remove("kt-weight-manifest.json") != null;
    assertThat(written).isEqualTo(Converting.digests(expected));
    assertThat(listed).isEqualTo(target.equals("kt-amx-int8"));
    if (listed) {
      Path manifest = Checkout.golden("kt/tree/kt-weight-manifest.int8_tp2.json");
      assertThat(MAPPER.readTree(out.resolve("experts/kt-weight-manifest.json")))
          .isEqualTo(MAPPER.readTree(manifest));
    }
    int files = 24 + DEPLOY_FILES + (listed ? 2 : 1);
    assertThat(result.out()).contains(files + " files");
    assertThat(Converting.names(out)).hasSize(files).contains("manifest.json");
  }

  @Test
  void holdsTheBytesOfTheMergedForm() throws Exception {
    Path out = folder.resolve("out");
    Converting.with(
            recipe(
                """
                  - {target: kt-amx-int8, numa: [1, 2]}
                  - {target: kt-amx-int8, numa: [1, 2], form: tree}
                  - {target: kt-amx-int4, form: merged}
                  - {target: kt-amx-int4, form: tree}
                  - {target: kt-aocl-int8, numa: 4}
                  - {target: kt-aocl-int8, numa: 4, form: tree}
                """))
        .run(FP8, out);
    for (String merged :
        List.of("kt-amx-int8", "kt-amx-int8-numa2", "kt-amx-int4", "kt-aocl-int8-numa4")) {
      Map<String, ByteBuffer> tensors = tensors(out.resolve(merged));
      Map<String, ByteBuffer> files = new TreeMap<>();
      Path tree = out.resolve(merged + "-tree");
      for (String name : Converting.names(tree)) {
        ExpertTensor.ofPath(name)
            .ifPresent(file -> {
              byte[] bytes = bytes(tree.resolve(name));
              assertThat(file.root()).isEqualTo("experts/");
              assertThat(file.bytes()).isEqualTo(bytes.length);
              files.put(file.tensor().tensorName(), ByteBuffer.wrap(bytes));
            });
      }
      assertThat(files).as(merged).isEqualTo(tensors);
      assertThat(crc32c(tree)).as(merged).isEqualTo(crc32c(out.resolve(merged)));
    }
  }

  private static byte[] bytes(Path file) {
    try {
      return Files.readAllBytes(file);
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }

  private static Map<String, String> crc32c(Path folder) {
    Map<String, String> checksums = new TreeMap<>();
    for (JsonNode line : MAPPER.readTree(folder.resolve("manifest.json")).path("tensors")) {
      checksums.put(line.path("name").asString(), line.path("crc32c").asString());
    }
    return checksums;
  }

  private static Map<String, ByteBuffer> tensors(Path folder) throws IOException {
    Map<String, ByteBuffer> tensors = new TreeMap<>();
    try (ModelSource source = ModelSources.open(folder);
        Arena arena = Arena.ofConfined()) {
      for (String name : source.names()) {
        if (name.endsWith(".safetensors")) {
          try (ByteSource file = source.open(name)) {
            SafetensorsHeader header = SafetensorsHeader.read(file);
            for (TensorEntry entry : header.tensors()) {
              MemorySegment bytes = arena.allocate(entry.bytes());
              file.read(header.offset(entry), bytes);
              tensors.put(entry.name(), ByteBuffer.wrap(bytes.toArray(ValueLayout.JAVA_BYTE)));
            }
          }
        }
      }
    }
    return tensors;
  }

  @ParameterizedTest
  @ValueSource(strings = {"kt-amx-int8", "kt-aocl-int8"})
  void thePlanNamesEveryFileWithItsSize(String target) throws Exception {
    Converting converting =
        Converting.with(recipe("  - {target: " + target + ", numa: 2, form: tree}\n"));
    Plan plan = converting.plan(FP8);
    Path out = folder.resolve("out");
    converting.run(FP8, out);
    TargetPlan tree = plan.targets().getFirst();
    Map<String, Long> planned = new TreeMap<>();
    tree.shards().forEach(s -> s.files().forEach(f -> planned.put(f.name(), f.bytes())));
    assertThat(planned).hasSize(3 * 16 * 6 * 2);
    tree.listing().ifPresent(file -> planned.put(file.name(), file.bytes()));
    assertThat(tree.smallFiles()).hasSize(DEPLOY_FILES);
    tree.smallFiles().forEach(file -> planned.put(file.name(), (long) file.bytes().length));
    planned.put("manifest.json", tree.manifestBytes());
    Map<String, Long> written = new TreeMap<>();
    for (String name : Converting.names(out)) {
      written.put(name, Files.size(out.resolve(name)));
    }
    assertThat(written).isEqualTo(planned);
    assertThat(plan.outputBytes())
        .isEqualTo(planned.values().stream().mapToLong(Long::longValue).sum());
    assertThat(tree.files()).isEqualTo(planned.size());
    assertThat(tree.notes().getFirst()).contains("576 files in 10 folders");
  }

  @Test
  void keepsFinishedLayersAndDoesAgainWhatLacksAFile() throws Exception {
    Recipe recipe = recipe("  - {target: kt-amx-int8, form: tree}\n");
    Path out = folder.resolve("out");
    Converting.with(recipe).run(FP8, out);
    Map<String, String> whole = Converting.digests(out);
    assertThat(Converting.with(recipe).run(FP8, out).unitsDone()).isZero();

    Path begun = folder.resolve("begun");
    stopAfter(recipe, begun, 2);
    assertThat(begun.resolve("experts/_layer_1/_numa_0")).isDirectory();
    assertThat(begun.resolve("manifest.json")).doesNotExist();
    assertThat(begun.resolve("experts/kt-weight-manifest.json")).doesNotExist();
    Path victim;
    try (var files = Files.list(begun.resolve("experts/_layer_1/_numa_0"))) {
      victim = files.sorted().findFirst().orElseThrow();
    }
    Files.delete(victim);
    Path leftover = begun.resolve("experts/._layer_2.part/_numa_0");
    Files.createDirectories(leftover);
    Files.writeString(leftover.resolve("half"), "x");
    Conversion.Result result = Converting.with(recipe).run(FP8, begun);
    assertThat(result.unitsDone()).isPositive();
    assertThat(Converting.digests(begun)).isEqualTo(whole);
  }

  /// Runs some units alone and leaves the folder unpublished.
  private static void stopAfter(Recipe recipe, Path out, int units) throws Exception {
    try (ModelSource source = ModelSources.open(FP8)) {
      Plan plan = Converting.with(recipe).plan(FP8);
      MemoryPlan memory = MemoryPlan.of(plan, 1, java.util.OptionalLong.empty());
      try (OutputFolder folder = OutputFolder.open(out, plan, source)) {
        Conversion.run(
            source,
            plan,
            folder,
            smelt.formats.codec.KernelSet.choose("auto"),
            memory,
            new StopSignal(),
            smelt.converter.progress.Progress.silent(),
            java.util.stream.IntStream.range(0, units).boxed().toList());
      }
    }
  }

  @Test
  void refusesAFileInTheTreeThatThePlanDoesNotName() throws Exception {
    Recipe recipe = recipe("  - {target: kt-amx-int8, form: tree}\n");
    Path out = folder.resolve("out");
    stopAfter(recipe, out, 2);
    Files.writeString(out.resolve("experts/_layer_1/_numa_0/notes.txt"), "x");
    Files.createDirectories(out.resolve("experts/_layer_9"));
    assertThatThrownBy(() -> Converting.with(recipe).run(FP8, out))
        .isInstanceOf(OutputConflictException.class)
        .hasMessageContaining("experts/_layer_1/_numa_0/notes.txt, experts/_layer_9");
  }
}
