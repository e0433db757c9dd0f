package smelt.converter.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import smelt.converter.Program;
import smelt.converter.SampleModel;
import smelt.converter.recipe.Selector;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.Architecture;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.SyntheticCheckpoint;
import smelt.formats.codec.KernelSet;
import smelt.formats.gguf.GgmlType;
import smelt.formats.gguf.GgufTensor;
import smelt.formats.gguf.InterleavedRows;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;
import smelt.verify.quality.TensorScore;
import smelt.verify.tensors.ComparedModels;
import smelt.verify.tensors.TensorComparison;

/// Routed experts whose rows are interleaved for ik_llama.cpp: the bytes of the plain type in
/// another order, and nothing else in the file is touched.
class InterleavedExpertsTest {

  @TempDir static Path folder;

  /// Files that were written, by their types and kernels: several tests look at them.
  private static final Map<String, Exported> WRITTEN = new HashMap<>();

  private static GgufOptions options(String selector, GgmlType type) {
    GgufTypes.Rule rule = new GgufTypes.Rule(new Selector.Role(selector), type);
    return new GgufOptions(
        new GgufTypes(GgmlType.Q8_0, List.of(rule)), Optional.empty(), LatentForm.SPLIT);
  }

  private static Exported export(GgmlType experts, String kernels) throws IOException {
    String name = experts + "-" + kernels + ".gguf";
    Exported written = WRITTEN.get(name);
    if (written == null) {
      Path model = SampleModel.path(SampleModel.FP8);
      GgufOptions options = options("routed_expert", experts);
      written = Exported.of(model, options, folder.resolve(name), kernels);
      WRITTEN.put(name, written);
    }
    return written;
  }

  /// Rows of 128 fill no block of 256: `down` then gets what it gets without interleaving.
  @ParameterizedTest
  @EnumSource(
      value = GgmlType.class,
      names = {"Q8_0_R8", "Q4_0_R8", "Q4_K_R4", "Q6_K_R4"})
  void holdsTheBlocksOfThePlainType(GgmlType type) throws IOException {
    Exported plain = export(type.plain(), "auto");
    Exported interleaved = export(type, "auto");
    assertThat(interleaved.header().metadata()).isEqualTo(plain.header().metadata());
    int experts = 0;
    for (GgufTensor tensor : interleaved.header().tensors()) {
      MemorySegment expected = plain.data(tensor.name());
      MemorySegment data = interleaved.data(tensor.name());
      assertThat(data.byteSize()).isEqualTo(expected.byteSize());
      if (tensor.type() == type) {
        experts++;
        assertThat(data.mismatch(expected)).isNotNegative();
        MemorySegment back = MemorySegment.ofArray(new byte[(int) data.byteSize()]);
        long cols = tensor.dims().getFirst();
        InterleavedRows.separate(type, data, 0, tensor.rows(), cols, back, 0);
        data = back;
      }
      assertThat(data.mismatch(expected)).as(tensor.name()).isEqualTo(-1);
    }
    assertThat(experts).isEqualTo(type.blockElements() == 32 ? 9 : 6);
    assertThat(interleaved.plan().notes())
        .anyMatch(note -> note.contains("as " + type) && note.contains("only ik_llama.cpp"));
  }

  @Test
  void isTheSameWhateverTheKernels() throws IOException {
    Path vector = export(GgmlType.Q6_K_R4, "auto").file();
    assertThat(Files.mismatch(export(GgmlType.Q6_K_R4, "scalar").file(), vector)).isEqualTo(-1);
  }

  @ParameterizedTest
  @EnumSource(
      value = GgmlType.class,
      names = {"Q8_0_R8", "Q6_K_R4"})
  void isReadBackAsThePlainType(GgmlType type) throws IOException {
    assertThat(scores(export(type, "auto").file()))
        .isEqualTo(scores(export(type.plain(), "auto").file()));
  }

  private static List<TensorScore> scores(Path made) throws IOException {
    Path model = SampleModel.path(SampleModel.FP8);
    try (ModelSource base = ModelSources.open(model);
        ModelSource source = ModelSources.open(made)) {
      Checkpoint checkpoint = Checkpoint.open(base);
      try (GgufCheckpoint gguf = GgufCheckpoint.open(source, base, checkpoint)) {
        assertThat(gguf.changes()).isEmpty();
        return TensorComparison.run(
                new ComparedModels(checkpoint, base, gguf.checkpoint(), gguf),
                KernelSet.choose("auto"),
                2,
                1L << 30,
                _ -> {})
            .tensors();
      }
    }
  }

  @Test
  void isRefusedForWhatAGpuComputes() {
    Path model = SampleModel.path(SampleModel.FP8);
    for (String role : List.of("attention", "embedding", "shared_expert", "head")) {
      assertThatThrownBy(() -> PlannedGguf.of(model, options(role, GgmlType.Q8_0_R8)))
          .as(role)
          .isInstanceOf(UnsupportedException.class)
          .hasMessageContaining("in Q8_0_R8")
          .hasMessageContaining("routed experts only");
    }
    assertThatThrownBy(() -> GgufOptions.of(GgmlType.Q4_K_R4))
        .isInstanceOf(UnsupportedException.class)
        .hasMessageContaining("routed experts only");
  }

  @Test
  void isRefusedWhereRowsAreNoGroups() throws IOException {
    Path model = folder.resolve("odd");
    SyntheticCheckpoint.of(Architecture.DEEPSEEK_V3)
        .with("moe_intermediate_size", 100)
        .write(model);
    assertThatThrownBy(() -> PlannedGguf.of(model, options("routed_expert", GgmlType.Q8_0_R8)))
        .isInstanceOf(UnsupportedException.class)
        .hasMessageContaining("with 100 rows in Q8_0_R8")
        .hasMessageContaining("8 at a time")
        .hasMessageContaining("take Q8_0");
  }

  /// From the recipe to the folder that serves it.
  @Test
  void isAskedForInARecipeAndNamedWhereverItMatters() throws IOException {
    Path out = folder.resolve("out");
    String recipe = recipe("type: q8_0\n    types: {routed_expert: q4_0_r8}").toString();
    String sample = SampleModel.path(SampleModel.FP8).toString();
    Program.Result plan = Program.run("plan", sample, "--recipe", recipe);
    assertThat(plan.out()).contains("9 tensors of routed experts are written as Q4_0_R8");
    Program.Result done = Program.run("convert", sample, "--recipe", recipe, "-o", out.toString());
    assertThat(done.exit()).as(done.err()).isZero();
    assertThat(Files.readString(out.resolve("manifest.json"))).contains("\"Q4_0_R8\"");
    assertThat(Files.readString(out.resolve("deploy/launch.sh"))).contains("ik_llama.cpp");
    assertThat(Files.readString(out.resolve("deploy/README.md"))).contains("For ik_llama.cpp");
    Program.Result check = Program.run("check", out.toString());
    assertThat(check.exit()).as(check.out()).isZero();
    assertThat(check.out()).contains("gguf-interleaved-rows").contains("0 warnings, 1 notes");
    assertThat(Program.run("inspect", out.toString()).out()).contains("Q4_0_R8");
  }

  @Test
  void isNoTypeForAWholeFile() throws IOException {
    Program.Result plan =
        Program.run(
            "plan",
            SampleModel.path(SampleModel.FP8).toString(),
            "--recipe",
            recipe("type: q8_0_r8").toString());
    assertThat(plan.exit()).isEqualTo(2);
    assertThat(plan.err()).contains("type: 'q8_0_r8'").contains("for routed_expert");
  }

  private Path recipe(String choices) throws IOException {
    List<String> lines = new ArrayList<>();
    lines.add("name: interleaved");
    lines.add("targets:");
    lines.add("  - target: gguf");
    lines.add("    " + choices);
    String name = String.format(Locale.ROOT, "recipe-%08x.yaml", choices.hashCode());
    return Files.write(folder.resolve(name), lines);
  }
}
