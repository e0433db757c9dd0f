package smelt.converter.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.converter.plan.Plan;
import smelt.converter.recipe.Recipe;
import smelt.converter.recipe.RecipeException;
import smelt.converter.recipe.Recipes;
import smelt.formats.Checkout;
import smelt.formats.checkpoint.Projection;
import smelt.formats.experts.ExpertFormat;
import smelt.formats.safetensors.SafetensorsHeader;
import smelt.formats.safetensors.TensorEntry;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// Experts in the order of a CPU's kernels, on the sample: 16 experts of [128, 256] in three
/// layers.
class ExpertTargetsTest {

  private static final Path FP8 = Checkout.root().resolve("samples/tiny-deepseek-v3-fp8");
  private static final int HIDDEN = 256;
  private static final int INTERMEDIATE = 128;

  @TempDir Path folder;

  private Recipe recipe(String targets) throws IOException {
    Path file = folder.resolve("recipe.yaml");
    Files.writeString(file, "name: test\nshard_size: 3MiB\ntargets:\n" + targets);
    return Recipes.load(file.toString());
  }

  /// All tensors of a folder's shards.
  private static Map<String, byte[]> tensors(Path folder) throws IOException {
    Map<String, byte[]> tensors = new TreeMap<>();
    try (ModelSource source = ModelSources.open(folder);
        Arena arena = Arena.ofConfined()) {
      for (String name : source.names()) {
        if (name.endsWith(".safetensors")) {
          try (ByteSource file = source.open(name)) {
            SafetensorsHeader header = SafetensorsHeader.read(file);
            for (TensorEntry entry : header.tensors()) {
              MemorySegment bytes = arena.allocate(entry.bytes());
              file.read(header.offset(entry), bytes);
              tensors.put(entry.name(), bytes.toArray(ValueLayout.JAVA_BYTE));
            }
          }
        }
      }
    }
    return tensors;
  }

  private static byte[] unpacked(byte[] packed, Projection projection, long n, long k) {
    byte[] codes = new byte[Math.toIntExact(n * k)];
    ExpertFormat.AMXINT8.unpack(
        projection, MemorySegment.ofArray(packed), 0, n, k, MemorySegment.ofArray(codes), 0, k);
    return codes;
  }

  @Test
  void oneRunCutsTheSameNumbersForSeveralNodeCounts() throws Exception {
    Path out = folder.resolve("out");
    Converting.with(recipe("  - {target: kt-amx-int8, numa: [1, 2]}\n  - int8-channel\n"))
        .run(FP8, out);
    Map<String, byte[]> one = tensors(out.resolve("kt-amx-int8"));
    Map<String, byte[]> two = tensors(out.resolve("kt-amx-int8-numa2"));
    Map<String, byte[]> rows = tensors(out.resolve("int8-channel"));
    assertThat(one).hasSize(3 * 16 * 3 * 2);
    assertThat(two).hasSize(2 * one.size());
    for (int layer = 1; layer <= 3; layer++) {
      for (int expert = 0; expert < 16; expert++) {
        String hf = "model.layers." + layer + ".mlp.experts." + expert;
        String kt = "blk." + layer + ".ffn_%s_exps." + expert + ".numa.%d.";
        String up = kt.formatted("up", 0);
        assertThat(unpacked(one.get(up + "weight"), Projection.UP, INTERMEDIATE, HIDDEN))
            .isEqualTo(rows.get(hf + ".up_proj.weight"));
        assertThat(one.get(up + "scale")).isEqualTo(rows.get(hf + ".up_proj.weight_scale"));
        byte[] down = rows.get(hf + ".down_proj.weight");
        for (int node = 0; node < 2; node++) {
          String name = kt.formatted("down", node);
          int part = INTERMEDIATE / 2;
          byte[] slice = unpacked(two.get(name + "weight"), Projection.DOWN, HIDDEN, part);
          for (int row = 0; row < HIDDEN; row++) {
            int at = row * INTERMEDIATE + node * part;
            assertThat(
                    java.util.Arrays.mismatch(
                        slice, row * part, (row + 1) * part, down, at, at + part))
                .isEqualTo(-1);
          }
          assertThat(two.get(name + "scale")).isEqualTo(rows.get(hf + ".down_proj.weight_scale"));
        }
      }
    }
  }

  @Test
  void fromChannelInt8TheCodesAreOnlyMoved() throws Exception {
    Path int8 = folder.resolve("int8");
    Converting.with(recipe("  - int8-channel\n")).run(FP8, int8);
    Path direct = folder.resolve("direct");
    Converting.with(recipe("  - kt-amx-int8\n")).run(FP8, direct);
    Path repacked = folder.resolve("repacked");
    Converting.with(recipe("  - kt-amx-int8\n")).run(int8, repacked);
    assertThat(equal(tensors(repacked))).isEqualTo(equal(tensors(direct)));
  }

  /// Arrays that are equal by what they hold.
  private static Map<String, ByteBuffer> equal(Map<String, byte[]> tensors) {
    Map<String, ByteBuffer> equal = new TreeMap<>();
    tensors.forEach((name, bytes) -> equal.put(name, ByteBuffer.wrap(bytes)));
    return equal;
  }

  @Test
  void whatKernelsCannotReadIsRefusedByThePlanWithTheNumbers() throws IOException {
    Recipe recipe = recipe("  - {target: kt-amx-int4, numa: 2}\n");
    assertThatThrownBy(() -> Converting.with(recipe).plan(FP8))
        .isInstanceOf(RecipeException.class)
        .hasMessageContaining("[256, 128] for 2 NUMA nodes")
        .hasMessageContaining("64 columns, INT4 takes multiples of 128");
    Recipe odd = recipe("  - {target: kt-aocl-int8, numa: 3}\n");
    assertThatThrownBy(() -> Converting.with(odd).plan(FP8))
        .isInstanceOf(RecipeException.class)
        .hasMessageContaining("do not divide by the nodes");
  }

  @Test
  void everythingElseIsNamedAsDropped() throws IOException {
    Plan plan = Converting.with(recipe("  - kt-amx-int4\n")).plan(FP8);
    assertThat(plan.targets().getFirst().dropped())
        .anySatisfy(d -> {
          assertThat(d.name()).isEqualTo("model.embed_tokens.weight");
          assertThat(d.reason()).contains("--model");
        })
        .anySatisfy(d -> assertThat(d.name()).startsWith("model.layers.4.mlp.experts.0."));
    assertThat(plan.targets().getFirst().leftOut())
        .anySatisfy(f -> assertThat(f.name()).isEqualTo("tokenizer.json"));
    long experts = plan.units().stream().flatMap(unit -> unit.jobs().stream()).count();
    assertThat(experts).isEqualTo(3 * 16 * 3);
  }
}
