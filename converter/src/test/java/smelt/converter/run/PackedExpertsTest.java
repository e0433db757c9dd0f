package smelt.converter.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import smelt.converter.recipe.Recipe;
import smelt.converter.recipe.Recipes;
import smelt.formats.BadInputException;
import smelt.formats.Checkout;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.KernelSet;
import smelt.formats.codec.Tile;
import smelt.formats.codec.TileDecoder;
import smelt.formats.experts.PackedExperts;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// What was packed for kernels is read back as the numbers that it stands for.
class PackedExpertsTest {

  private static final Path FP8 = Checkout.root().resolve("samples/tiny-deepseek-v3-fp8");

  @TempDir Path folder;

  private void convert(String target, Path out) throws Exception {
    Path file = folder.resolve("recipe.yaml");
    Files.writeString(file, "name: test\ntargets:\n  - " + target + "\n");
    Recipe recipe = Recipes.load(file.toString());
    Converting.with(recipe).run(FP8, out);
  }

  private static float[] values(ModelSource source, Weight weight) throws IOException {
    try (Arena arena = Arena.ofConfined();
        ByteSource codesFile = source.open(weight.codes().file());
        ByteSource scaleFile = source.open(weight.scale().orElseThrow().file())) {
      MemorySegment codes = arena.allocate(weight.codes().bytes(), 64);
      codesFile.read(weight.codes().offset(), codes);
      MemorySegment scales = arena.allocate(weight.scale().orElseThrow().bytes(), 64);
      scaleFile.read(weight.scale().orElseThrow().offset(), scales);
      long rows = weight.shape().dim(0);
      long cols = weight.shape().dim(1);
      Tile tile = new Tile(weight.encoding(), codes, 0, scales, 0, rows, cols);
      MemorySegment scratch =
          arena.allocate(1 + TileDecoder.scratchBytes(weight.encoding(), cols), 64);
      TileDecoder decoder = new TileDecoder(KernelSet.choose("auto"), tile, scratch, 0);
      MemorySegment out = arena.allocate(rows * cols * Float.BYTES, 64);
      for (long row = 0; row < rows; row++) {
        decoder.read(row, 0, cols, out, row * cols * Float.BYTES);
      }
      return out.toArray(ValueLayout.JAVA_FLOAT);
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "{target: kt-amx-int8, numa: 1} | 1",
        "{target: kt-amx-int8, numa: 2} | 2",
        "{target: kt-amx-int8, numa: 2, form: tree} | 2",
        "{target: kt-aocl-int8, numa: 4} | 4",
        "{target: kt-aocl-int8, form: tree} | 1"
      })
  void readsTheNumbersOfInt8Channel(String target, int nodes) throws Exception {
    Path packed = folder.resolve("packed");
    convert(target, packed);
    Path rows = folder.resolve("rows");
    convert("int8-channel", rows);
    try (ModelSource base = ModelSources.open(FP8);
        ModelSource made = ModelSources.open(packed);
        ModelSource plain = ModelSources.open(rows)) {
      assertThat(PackedExperts.isIn(made)).isTrue();
      assertThat(PackedExperts.isIn(plain)).isFalse();
      Checkpoint expected = Checkpoint.open(plain);
      try (PackedExperts experts = PackedExperts.open(made, base, Checkpoint.open(base))) {
        assertThat(experts.nodes()).isEqualTo(nodes);
        int compared = 0;
        for (Weight weight : experts.checkpoint().weights()) {
          if (weight.role() instanceof TensorRole.RoutedExpert expert
              && expert.layerIndex() < 4
              && expert.expert() % 5 == 0) {
            Weight same = expected.weight(weight.name()).orElseThrow();
            assertThat(values(experts, weight)).as(weight.name()).isEqualTo(values(plain, same));
            compared++;
          }
        }
        assertThat(compared).isEqualTo(3 * 4 * 3);
      }
    }
  }

  @Test
  void namesWhatIsMissing() throws Exception {
    Path packed = folder.resolve("packed");
    convert("kt-amx-int4", packed);
    try (ModelSource other =
            ModelSources.open(Checkout.root().resolve("samples/tiny-deepseek-v3"));
        ModelSource made = ModelSources.open(packed)) {
      try (PackedExperts experts = PackedExperts.open(made, other, Checkpoint.open(other))) {
        assertThat(experts.format()).hasToString("AMXINT4");
      }
    }
    try (var files = Files.list(packed)) {
      for (Path file : files.filter(f -> f.toString().endsWith(".safetensors")).toList()) {
        byte[] bytes = Files.readAllBytes(file);
        String header = new String(bytes, 8, 1 << 20, java.nio.charset.StandardCharsets.ISO_8859_1);
        int at = 8 + header.indexOf("ffn_up_exps.7.numa.0.scale");
        bytes[at + "ffn_up_exps.".length()] = '9';
        bytes[at + "ffn_up_exps.7.numa.".length()] = '7';
        Files.write(file, bytes);
      }
    }
    try (ModelSource base = ModelSources.open(FP8);
        ModelSource made = ModelSources.open(packed)) {
      Checkpoint model = Checkpoint.open(base);
      assertThatThrownBy(() -> PackedExperts.open(made, base, model))
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining("no fitting blk.")
          .hasMessageContaining("ffn_up_exps.7.numa.0.scale");
    }
  }

  @Test
  void readsATreeByItselfAndRefusesTwo() throws Exception {
    Path packed = folder.resolve("packed");
    convert("{target: kt-amx-int4, form: tree}", packed);
    try (ModelSource base = ModelSources.open(FP8);
        ModelSource tree = ModelSources.open(packed.resolve("experts"));
        PackedExperts experts = PackedExperts.open(tree, base, Checkpoint.open(base))) {
      assertThat(experts.format()).hasToString("AMXINT4");
      assertThat(experts.nodes()).isEqualTo(1);
    }
    Path two = packed.resolve("other/_layer_1/_numa_0");
    Files.createDirectories(two);
    Files.write(two.resolve("INT4_up_0_4Byte_quant_.kt"), new byte[4]);
    try (ModelSource base = ModelSources.open(FP8);
        ModelSource made = ModelSources.open(packed)) {
      Checkpoint model = Checkpoint.open(base);
      assertThatThrownBy(() -> PackedExperts.open(made, base, model))
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining("trees of experts in 'experts/' and in 'other/'");
    }
  }
}
