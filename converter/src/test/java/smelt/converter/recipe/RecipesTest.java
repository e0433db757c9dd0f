package smelt.converter.recipe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.converter.target.Target;
import smelt.formats.Checkout;
import smelt.formats.codec.ScaleFormat;

class RecipesTest {

  @TempDir Path folder;

  @Test
  void everyTargetHasABuiltInRecipeOfItsName() throws IOException {
    for (Target target : Target.values()) {
      Recipe recipe = Recipes.load(target.label());
      assertThat(recipe.name()).isEqualTo(target.label());
      assertThat(recipe.description()).isNotEmpty();
      assertThat(recipe.targets()).containsExactly(TargetSpec.of(target));
      assertThat(recipe.mtp()).isEqualTo(MtpPolicy.KEEP);
      assertThat(recipe.copyCode()).isFalse();
    }
  }

  @Test
  void theFilesInSamplesAreTheBuiltInRecipes() throws IOException {
    try (Stream<Path> files = Files.list(Checkout.root().resolve("samples/recipes"))) {
      List<Path> recipes = files.toList();
      assertThat(recipes)
          .extracting(file -> file.getFileName().toString().replace(".yaml", ""))
          .containsExactlyInAnyOrderElementsOf(Recipes.builtIn());
      for (Path file : recipes) {
        String name = file.getFileName().toString().replace(".yaml", "");
        assertThat(Recipes.yaml(name)).isEqualTo(Files.readString(file));
        assertThat(Recipes.load(file.toString())).isEqualTo(Recipes.load(name));
      }
    }
  }

  @Test
  void oneRecipeMayMakeSeveralTargets() throws IOException {
    assertThat(Recipes.load("gpu-int8-and-fp8").targets())
        .extracting(TargetSpec::target)
        .containsExactly(Target.INT8_CHANNEL, Target.INT8_BLOCK, Target.FP8_BLOCK);
  }

  @Test
  void hybridRecipesMakeBothHalvesInOneRun() throws IOException {
    assertThat(Recipes.load("ktransformers-int8").targets())
        .extracting(TargetSpec::name)
        .containsExactly("int8-channel", "kt-amx-int8-numa2");
    assertThat(Recipes.load("ktransformers-int4").targets())
        .extracting(TargetSpec::name)
        .containsExactly("int8-channel", "kt-amx-int4");
    assertThat(Recipes.load("llamacpp-q4").targets())
        .extracting(TargetSpec::name)
        .containsExactly("gguf-q8_0-mixed");
  }

  @Test
  void readsEveryKey() throws IOException {
    Recipe recipe =
        read(
            """
            name: my-recipe
            description: "two: targets"
            targets:
              - bf16
              - target: fp8-block
                scales: ue8m0
                keep: [attention.kv_b, "re:^model\\\\.layers\\\\.0\\\\."]
                quantize: dense_mlp
            mtp: drop
            copy_code: true
            shard_size: 512MiB
            """);
    assertThat(recipe.name()).isEqualTo("my-recipe");
    assertThat(recipe.description()).isEqualTo("two: targets");
    assertThat(recipe.mtp()).isEqualTo(MtpPolicy.DROP);
    assertThat(recipe.copyCode()).isTrue();
    assertThat(recipe.shardSize()).isEqualTo(512L << 20);
    TargetSpec fp8 = recipe.targets().get(1);
    assertThat(fp8.target()).isEqualTo(Target.FP8_BLOCK);
    assertThat(fp8.scales()).contains(ScaleFormat.UE8M0);
    assertThat(fp8.keep())
        .extracting(Selector::text)
        .containsExactly("attention.kv_b", "re:^model\\.layers\\.0\\.");
    assertThat(fp8.quantize()).containsExactly(new Selector.Role("dense_mlp"));
  }

  @Test
  void aPlainNumberIsASizeInBytes() throws IOException {
    assertThat(read("name: x\ntargets: bf16\nshard_size: 1000000\n").shardSize())
        .isEqualTo(1_000_000);
  }

  @Test
  void theDigestIsThatOfTheMeaning() throws IOException {
    Recipe flow =
        read(
            "name: x\ntargets: [int8-channel, {target: fp8-block, scales: f32, keep: [router]}]\n");
    Recipe spelt =
        read(
            """
            # the same in other words
            shard_size: 4GiB
            copy_code: false
            description: with a description
            targets:
              - target: int8-channel
              - keep:
                  - "router"
                scales: f32
                target: 'fp8-block'
            mtp: keep
            name: x
            """);
    assertThat(spelt.digest()).isEqualTo(flow.digest()).matches("[0-9a-f]{64}");
  }

  @Test
  void theDigestChangesWithWhatIsMade() throws IOException {
    String base = "name: x\ntargets: [{target: fp8-block}]\n";
    List<String> others =
        List.of(
            "name: y\ntargets: [{target: fp8-block}]\n",
            "name: x\ntargets: [{target: fp8-block, scales: ue8m0}]\n",
            "name: x\ntargets: [{target: fp8-block, scales: f32}]\n",
            "name: x\ntargets: [{target: fp8-block, keep: [router]}]\n",
            "name: x\ntargets: [{target: fp8-block, quantize: [router]}]\n",
            "name: x\ntargets: [{target: int8-block}]\n",
            base + "mtp: drop\n",
            base + "copy_code: true\n",
            base + "shard_size: 1GiB\n");
    for (String other : others) {
      assertThat(read(other).digest()).as(other).isNotEqualTo(read(base).digest());
    }
  }

  /// Plans name the digest, so it must not change from one version to the next.
  @Test
  void theDigestOfABuiltInRecipeStays() throws IOException {
    assertThat(Recipes.load("int8-channel").canonicalJson())
        .isEqualTo(
            "{\"name\":\"int8-channel\",\"description\":\"INT8 with one scale per output channel,"
                + " for SGLang (w8a8_int8) on GPUs and CPUs without FP8.\",\"targets\":[{\"target\":"
                + "\"int8-channel\",\"keep\":[],\"quantize\":[]}],\"mtp\":\"keep\",\"copy_code\":false,"
                + "\"shard_size\":4294967296}");
    // printf '%s' '{"name":"int8-channel","targets":[...],...,"shard_size":4294967296}' | sha256sum
    assertThat(Recipes.load("int8-channel").digest())
        .isEqualTo("0d900cf1d743c8b89f4a759da4f4c89ad1476d0635abf4b5987e04ed9b28ecbe");
  }

  @Test
  void anUnknownNameIsRefusedWithASuggestion() {
    assertThatThrownBy(() -> Recipes.load("int8-chanel"))
        .isInstanceOf(RecipeException.class)
        .hasMessageContaining("did you mean 'int8-channel'?");
  }

  @Test
  void aFolderIsNoRecipe() {
    assertThatThrownBy(() -> Recipes.load(folder.toString()))
        .isInstanceOf(RecipeException.class)
        .hasMessageContaining("a folder");
  }

  @Test
  void bytesThatAreNotUtf8AreRefused() throws IOException {
    Path file = folder.resolve("latin1.yaml");
    Files.write(file, new byte[] {'n', 'a', 'm', 'e', ':', ' ', (byte) 0xE9});
    assertThatThrownBy(() -> Recipes.load(file.toString()))
        .isInstanceOf(RecipeException.class)
        .hasMessageContaining("not UTF-8");
  }

  @Test
  void aHugeFileIsRefused() throws IOException {
    Path file = folder.resolve("huge.yaml");
    Files.write(file, new byte[(1 << 20) + 1]);
    assertThatThrownBy(() -> Recipes.load(file.toString()))
        .isInstanceOf(RecipeException.class)
        .hasMessageContaining("more than 1048576 bytes");
  }

  private Recipe read(String yaml) throws IOException {
    Path file = folder.resolve("recipe.yaml");
    Files.writeString(file, yaml);
    return Recipes.load(file.toString());
  }
}
