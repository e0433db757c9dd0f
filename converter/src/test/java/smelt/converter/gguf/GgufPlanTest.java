package smelt.converter.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.converter.SampleModel;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.Architecture;
import smelt.formats.checkpoint.DeepSeekV3Fixture;
import smelt.formats.checkpoint.SyntheticCheckpoint;
import smelt.formats.gguf.GgmlType;
import smelt.formats.gguf.GgufTensor;
import smelt.formats.gguf.GgufValue;

class GgufPlanTest {

  @TempDir Path folder;

  private static PlannedGguf plan(Path model, GgmlType type) throws IOException {
    return PlannedGguf.of(model, type);
  }

  /// The figures of the published model's shape, as its GGUF files have them.
  @Test
  void plansDeepSeekV3ToTheByte() throws IOException {
    PlannedGguf plan = plan(DeepSeekV3Fixture.write(folder.resolve("v3")), GgmlType.Q8_0);
    assertThat(plan.layout().tensors()).hasSize(3 + 3 * 13 + 58 * 18);
    assertThat(plan.dropped().size()).isEqualTo(6 + 9 + 2 + 3 + 3 * 256);
    Map<String, GgufValue> metadata = plan.metadata();
    assertThat(metadata)
        .containsEntry("general.size_label", new GgufValue.Text("256x20B"))
        .containsEntry("deepseek2.block_count", new GgufValue.U32(61))
        .containsEntry("deepseek2.context_length", new GgufValue.U32(163840))
        .containsEntry("deepseek2.attention.head_count_kv", new GgufValue.U32(1))
        .containsEntry("deepseek2.attention.key_length", new GgufValue.U32(576))
        .containsEntry("deepseek2.attention.value_length", new GgufValue.U32(512))
        .containsEntry("deepseek2.attention.key_length_mla", new GgufValue.U32(192))
        .containsEntry("deepseek2.attention.value_length_mla", new GgufValue.U32(128))
        .containsEntry("deepseek2.rope.scaling.factor", new GgufValue.F32(40))
        .containsEntry("deepseek2.rope.scaling.yarn_log_multiplier", new GgufValue.F32(0.1f));
    assertThat(tensor(plan, "blk.3.ffn_down_exps.weight").dims())
        .containsExactly(2048L, 7168L, 256L);
    assertThat(tensor(plan, "blk.60.attn_k_b.weight").dims()).containsExactly(128L, 512L, 128L);
    assertThat(tensor(plan, "blk.60.attn_v_b.weight").dims()).containsExactly(512L, 128L, 128L);
    assertThat(tensor(plan, "blk.3.ffn_down_exps.weight").bytes())
        .isEqualTo(2048L * 7168 * 256 / 32 * 34);
    // 671.026 G parameters, all but 0.1 G of them at 8.5 bits.
    assertThat(plan.layout().fileSize()).isBetween(712_900_000_000L, 713_500_000_000L);
  }

  /// What engines before April 2025 read, and no others' keys.
  @Test
  void plansOneTensorForKeysAndValuesWhereItIsAskedFor() throws IOException {
    GgufOptions options = GgufOptions.of(GgmlType.Q8_0).with(LatentForm.FUSED);
    Path model = DeepSeekV3Fixture.write(folder.resolve("fused"));
    PlannedGguf plan = PlannedGguf.of(model, options);
    assertThat(plan.layout().tensors()).hasSize(3 + 3 * 12 + 58 * 17);
    assertThat(tensor(plan, "blk.60.attn_kv_b.weight").dims()).containsExactly(512L, 32768L);
    assertThat(plan.metadata())
        .containsEntry("deepseek2.attention.head_count_kv", new GgufValue.U32(128))
        .containsEntry("deepseek2.attention.key_length", new GgufValue.U32(192))
        .containsEntry("deepseek2.attention.value_length", new GgufValue.U32(128))
        .doesNotContainKey("deepseek2.attention.key_length_mla")
        .doesNotContainKey("deepseek2.attention.value_length_mla");
    Path llama = folder.resolve("llama");
    SyntheticCheckpoint.of(Architecture.LLAMA).write(llama);
    assertThatThrownBy(() -> PlannedGguf.of(llama, options))
        .isInstanceOf(UnsupportedException.class)
        .hasMessageContaining("kv_b fused");
  }

  private static GgufTensor tensor(PlannedGguf plan, String name) {
    return plan.layout().tensor(name);
  }

  @Test
  void writesTheTokenizerAsTheEngineListsIt() throws IOException {
    Map<String, GgufValue> metadata =
        plan(SampleModel.path(SampleModel.BF16), GgmlType.F32).metadata();
    assertThat(metadata)
        .containsEntry("tokenizer.ggml.model", new GgufValue.Text("gpt2"))
        .containsEntry("tokenizer.ggml.pre", new GgufValue.Text("deepseek-v3"))
        .containsEntry("tokenizer.ggml.bos_token_id", new GgufValue.U32(0))
        .containsEntry("tokenizer.ggml.eos_token_id", new GgufValue.U32(1))
        .containsEntry("tokenizer.ggml.padding_token_id", new GgufValue.U32(2))
        .containsEntry("tokenizer.ggml.add_bos_token", new GgufValue.Bool(true))
        .containsEntry("tokenizer.ggml.add_eos_token", new GgufValue.Bool(false))
        .doesNotContainKey("tokenizer.chat_template");
    List<GgufValue> tokens = array(metadata, "tokens");
    List<GgufValue> types = array(metadata, "token_type");
    assertThat(tokens).hasSize(1536).startsWith(new GgufValue.Text("<｜begin▁of▁sentence｜>"));
    assertThat(types).hasSize(1536);
    assertThat(types.subList(0, 4))
        .extracting(value -> ((GgufValue.I32) value).value())
        .containsExactly(3, 3, 3, 1);
    assertThat(array(metadata, "merges"))
        .hasSize(1277)
        .startsWith(new GgufValue.Text("Ġ t"), new GgufValue.Text("h e"));
  }

  private static List<GgufValue> array(Map<String, GgufValue> metadata, String name) {
    return ((GgufValue.Array) metadata.get("tokenizer.ggml." + name)).values();
  }

  @Test
  void takesTheChatTemplateFromEitherFile() throws IOException {
    Path model = SampleModel.copy(SampleModel.BF16, folder.resolve("chat"));
    Path settings = model.resolve("tokenizer_config.json");
    String text = Files.readString(settings);
    Files.writeString(
        settings, text.replaceFirst("\\{", "{\"chat_template\": \"{{ messages }}\","));
    assertThat(plan(model, GgmlType.F32).metadata())
        .containsEntry("tokenizer.chat_template", new GgufValue.Text("{{ messages }}"));
    Files.writeString(model.resolve("chat_template.jinja"), "{% if x %}ü{% endif %}");
    assertThat(plan(model, GgmlType.F32).metadata())
        .containsEntry("tokenizer.chat_template", new GgufValue.Text("{% if x %}ü{% endif %}"));
  }

  @Test
  void saysThatATokenizerIsMissing() throws IOException {
    Path model = SampleModel.copy(SampleModel.BF16, folder.resolve("mute"));
    Files.delete(model.resolve("tokenizer.json"));
    PlannedGguf plan = plan(model, GgmlType.F32);
    assertThat(plan.metadata())
        .containsEntry("tokenizer.ggml.model", new GgufValue.Text("none"))
        .doesNotContainKey("tokenizer.ggml.tokens");
    assertThat(plan.notes()).singleElement().asString().contains("no tokenizer.json");
  }

  @Test
  void fillsIdsThatTheTokenizerLacks() throws IOException {
    Path model = SampleModel.copy(SampleModel.BF16, folder.resolve("gap"));
    Path file = model.resolve("tokenizer.json");
    String text = Files.readString(file);
    String last = text.replaceAll("(?s),\\s*\"[^\"]*\"\\s*:\\s*1535\\b", "");
    assertThat(last).isNotEqualTo(text);
    Files.writeString(file, last);
    Map<String, GgufValue> metadata = plan(model, GgmlType.F32).metadata();
    assertThat(array(metadata, "tokens").getLast()).isEqualTo(new GgufValue.Text("[PAD1535]"));
    assertThat(array(metadata, "token_type").getLast()).isEqualTo(new GgufValue.I32(5));
  }

  @Test
  void refusesOtherArchitecturesAndTypes() throws IOException {
    Path sparse = folder.resolve("sparse");
    SyntheticCheckpoint.of(Architecture.DEEPSEEK_V32).write(sparse);
    assertThatThrownBy(() -> plan(sparse, GgmlType.F32))
        .isInstanceOf(UnsupportedException.class)
        .hasMessageContaining("DeepseekV32ForCausalLM")
        .hasMessageContaining("indexer");
    assertThatThrownBy(() -> GgufOptions.of(GgmlType.IQ2_XS))
        .isInstanceOf(UnsupportedException.class)
        .hasMessageContaining("IQ2_XS");
  }
}
