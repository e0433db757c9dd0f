package smelt.converter.gguf;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import smelt.converter.SampleModel;
import smelt.converter.run.Converting;
import smelt.converter.target.Target;
import smelt.formats.BadInputException;
import smelt.formats.Checkout;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.KernelSet;
import smelt.formats.gguf.GgmlType;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;
import smelt.verify.Check;
import smelt.verify.CheckOptions;
import smelt.verify.CheckReport;
import smelt.verify.Finding;
import smelt.verify.quality.TensorScore;
import smelt.verify.tensors.ComparedModels;
import smelt.verify.tensors.TensorComparison;

/// GGUF read back has the numbers of the model that it was made from.
class GgufCheckpointTest {

  @TempDir Path folder;

  private Path exported(Path model, GgmlType type) throws IOException {
    Path file = folder.resolve(model.getFileName() + "-" + type + ".gguf");
    Exported.of(model, type, file);
    return file;
  }

  private static TensorComparison.Result compare(Path made, Path model) throws IOException {
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
            _ -> {});
      }
    }
  }

  private static List<String> changes(Path made, Path model) throws IOException {
    try (ModelSource base = ModelSources.open(model);
        ModelSource source = ModelSources.open(made);
        GgufCheckpoint gguf = GgufCheckpoint.open(source, base, Checkpoint.open(base))) {
      return gguf.changes();
    }
  }

  @Test
  void hasEveryBitOfABf16Model() throws IOException {
    Path model = SampleModel.path(SampleModel.BF16);
    TensorComparison.Result found = compare(exported(model, GgmlType.BF16), model);
    assertThat(found.tensors()).hasSize(201).allMatch(TensorScore::bitExact);
    assertThat(found.added()).isEmpty();
    assertThat(found.missing()).hasSize(68).allMatch(name -> name.startsWith("model.layers.4."));
  }

  /// With `kv_b_proj` in one tensor its blocks are shown where they lie.
  @Test
  void hasEveryBitOfAFusedModel() throws IOException {
    Path model = SampleModel.path(SampleModel.BF16);
    Path file = folder.resolve("fused.gguf");
    Exported.of(model, GgufOptions.of(GgmlType.BF16).with(LatentForm.FUSED), file, "auto");
    TensorComparison.Result found = compare(file, model);
    assertThat(found.tensors()).hasSize(201).allMatch(TensorScore::bitExact);
    assertThat(found.added()).isEmpty();
  }

  /// Rows by turns, biases, stacks of experts, a head that is the embedding.
  @ParameterizedTest
  @ValueSource(strings = {"llama", "qwen2", "mixtral", "qwen3-moe-every-layer"})
  void hasEveryBitOfOtherArchitectures(String name) throws IOException {
    Path model = Checkout.root().resolve("calibrate/src/test/resources/models/" + name + "/model");
    TensorComparison.Result found = compare(exported(model, GgmlType.F32), model);
    assertThat(found.tensors()).isNotEmpty().allMatch(TensorScore::bitExact);
    assertThat(found.missing()).isEmpty();
  }

  /// Blocks are read where they lie; only the two parts of `kv_b_proj` are decoded on the way.
  @Test
  void showsBlocksAsBlocks() throws IOException {
    Path model = SampleModel.path(SampleModel.FP8);
    Path file = exported(model, GgmlType.Q8_0);
    TensorComparison.Result found = compare(file, model);
    assertThat(found.tensors().stream().mapToDouble(TensorScore::sqnrDb).min().orElseThrow())
        .isBetween(44.0, 46.0);
    try (ModelSource base = ModelSources.open(model);
        ModelSource source = ModelSources.open(file);
        GgufCheckpoint gguf = GgufCheckpoint.open(source, base, Checkpoint.open(base))) {
      assertThat(gguf.types()).isEqualTo("Q8_0, F32");
      Weight expert =
          gguf.checkpoint().weight("model.layers.2.mlp.experts.3.up_proj.weight").orElseThrow();
      assertThat(expert.encoding()).isEqualTo(new Encoding.Ggml(GgmlType.Q8_0));
      assertThat(expert.bytes()).isEqualTo(expert.shape().elements() / 32 * 34);
      Weight split =
          gguf.checkpoint().weight("model.layers.2.self_attn.kv_b_proj.weight").orElseThrow();
      assertThat(split.bytes()).isEqualTo(split.shape().elements() * 4);
      assertThat(gguf.storedBytes(split)).isEqualTo(split.shape().elements() / 32 * 34);
      assertThat(gguf.checkpoint().config().mtpLayers()).isZero();
    }
  }

  @Test
  void joinsTheFilesOfASplitModel() throws IOException, InterruptedException {
    Path model = SampleModel.path(SampleModel.BF16);
    Path out = folder.resolve("split");
    Converting.to(Target.GGUF).run(model, out);
    List<TensorScore> whole = compare(exported(model, GgmlType.Q8_0), model).tensors();
    assertThat(compare(out, model).tensors().equals(whole)).isTrue();
    Path third = out.resolve("model-00003-of-00005.gguf");
    assertThat(compare(third, model).tensors().equals(whole)).isTrue();

    Files.delete(third);
    assertThatThrownBy(() -> compare(out, model))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("4 of 5 parts");
  }

  @Test
  void whatIsWrittenPassesTheCheckUntilABitFlips() throws IOException, InterruptedException {
    Path out = folder.resolve("checked");
    Converting.to(Target.GGUF).run(SampleModel.path(SampleModel.BF16), out);
    CheckReport report = Check.run(out, Set.of(), CheckOptions.full());
    assertThat(report.findings()).isEmpty();
    assertThat(report.skipped()).isEmpty();

    Path file = out.resolve("model-00003-of-00005.gguf");
    byte[] bytes = Files.readAllBytes(file);
    bytes[bytes.length - 40] ^= 1;
    Files.write(file, bytes);
    assertThat(Check.run(out, Set.of(), CheckOptions.full()).findings())
        .extracting(Finding::rule)
        .containsExactlyInAnyOrder("tensor-digests", "file-digests");
  }

  @Test
  void saysWhatMetadataChanges() throws IOException {
    Path model = SampleModel.path(SampleModel.FP8);
    Path file = exported(model, GgmlType.Q8_0);
    byte[] bytes = Files.readAllBytes(file);
    overwrite(bytes, "deepseek2.rope.freq_base", 4, 1234f);
    overwrite(bytes, "deepseek2.rope.scaling.factor", 4, 3f);
    Files.write(file, bytes);
    assertThat(changes(file, model))
        .containsExactly(
            "deepseek2.rope.freq_base: 10000.0 -> 1234.0",
            "deepseek2.rope.scaling.factor: 4.0 -> 3.0");
  }

  /// @param behind bytes between the key and its value
  private static void overwrite(byte[] bytes, String key, int behind, float value) {
    ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    buffer.putFloat(at(bytes, key) + key.length() + behind, value);
  }

  private static int at(byte[] bytes, String key) {
    String head = new String(bytes, 0, 1 << 20, java.nio.charset.StandardCharsets.ISO_8859_1);
    int at = head.indexOf(key);
    assertThat(at).as(key).isPositive();
    return at;
  }

  @Test
  void namesTensorsThatAreMissing() throws IOException {
    Path model = SampleModel.path(SampleModel.FP8);
    Path file = exported(model, GgmlType.Q8_0);
    byte[] bytes = Files.readAllBytes(file);
    byte[] other = "blk.2.ffn_up_exqs.weight".getBytes(UTF_8);
    System.arraycopy(other, 0, bytes, at(bytes, "blk.2.ffn_up_exps.weight"), other.length);
    Files.write(file, bytes);
    assertThatThrownBy(() -> changes(file, model))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("no tensor blk.2.ffn_up_exps.weight");
  }

  @Test
  void refusesAModelOfOtherSizes() throws IOException {
    Path llama = Checkout.root().resolve("calibrate/src/test/resources/models/llama/model");
    Path file = exported(llama, GgmlType.F32);
    assertThatThrownBy(() -> changes(file, SampleModel.path(SampleModel.FP8)))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("token_embd.weight with the dimensions");
  }
}
