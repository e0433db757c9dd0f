package smelt.formats.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.formats.checkpoint.SyntheticCheckpoint.Form;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

class ArchitectureTest {

  @TempDir Path folder;

  /// The expected weights of a small config, and their shapes.
  private static Map<String, Shape> weights(SyntheticCheckpoint model) {
    ModelConfig config =
        ModelConfig.parse("config.json", CheckpointDraft.JSON.writeValueAsBytes(model.config()));
    List<ExpectedWeight> all = new ArrayList<>();
    model.architecture().weights(config, all::add);
    return all.stream().collect(Collectors.toMap(ExpectedWeight::name, ExpectedWeight::shape));
  }

  private static List<String> layer(SyntheticCheckpoint model, int layer) {
    String prefix = "model.layers." + layer + ".";
    return weights(model).keySet().stream()
        .filter(n -> n.startsWith(prefix))
        .map(n -> n.substring(prefix.length()))
        .filter(n -> !n.matches(".*experts\\.[1-9].*"))
        .toList();
  }

  private static SyntheticCheckpoint model(Architecture architecture) {
    return SyntheticCheckpoint.of(architecture);
  }

  @Test
  void namesTheWeightsOfLlama() {
    assertThat(layer(model(Architecture.LLAMA), 0))
        .containsExactlyInAnyOrder(
            "input_layernorm.weight",
            "post_attention_layernorm.weight",
            "self_attn.q_proj.weight",
            "self_attn.k_proj.weight",
            "self_attn.v_proj.weight",
            "self_attn.o_proj.weight",
            "mlp.gate_proj.weight",
            "mlp.up_proj.weight",
            "mlp.down_proj.weight");
    assertThat(layer(model(Architecture.LLAMA).with("attention_bias", true), 0))
        .contains("self_attn.q_proj.bias", "self_attn.o_proj.bias")
        .hasSize(13);
  }

  @Test
  void namesTheWeightsOfQwen2WithItsBiases() {
    assertThat(layer(model(Architecture.QWEN2), 2))
        .containsExactlyInAnyOrder(
            "input_layernorm.weight",
            "post_attention_layernorm.weight",
            "self_attn.q_proj.weight",
            "self_attn.q_proj.bias",
            "self_attn.k_proj.weight",
            "self_attn.k_proj.bias",
            "self_attn.v_proj.weight",
            "self_attn.v_proj.bias",
            "self_attn.o_proj.weight",
            "mlp.gate_proj.weight",
            "mlp.up_proj.weight",
            "mlp.down_proj.weight");
  }

  @Test
  void namesTheWeightsOfQwen3Moe() {
    SyntheticCheckpoint model = model(Architecture.QWEN3_MOE).with("decoder_sparse_step", 2);
    assertThat(layer(model, 1))
        .containsExactlyInAnyOrder(
            "input_layernorm.weight",
            "post_attention_layernorm.weight",
            "self_attn.q_proj.weight",
            "self_attn.k_proj.weight",
            "self_attn.v_proj.weight",
            "self_attn.o_proj.weight",
            "self_attn.q_norm.weight",
            "self_attn.k_norm.weight",
            "mlp.gate.weight",
            "mlp.experts.0.gate_proj.weight",
            "mlp.experts.0.up_proj.weight",
            "mlp.experts.0.down_proj.weight");
    assertThat(layer(model, 0)).contains("mlp.gate_proj.weight").doesNotContain("mlp.gate.weight");
    model.config().putArray("mlp_only_layers").add(1);
    assertThat(layer(model, 1)).contains("mlp.gate_proj.weight").doesNotContain("mlp.gate.weight");
    assertThat(weights(model))
        .containsEntry("model.layers.0.self_attn.q_norm.weight", Shape.of(64))
        .containsEntry("model.layers.0.self_attn.q_proj.weight", Shape.of(256, 192));
  }

  @Test
  void namesTheWeightsOfMixtral() throws IOException {
    SyntheticCheckpoint mixtral = model(Architecture.MIXTRAL);
    assertThat(layer(mixtral, 0))
        .containsExactlyInAnyOrder(
            "input_layernorm.weight",
            "post_attention_layernorm.weight",
            "self_attn.q_proj.weight",
            "self_attn.k_proj.weight",
            "self_attn.v_proj.weight",
            "self_attn.o_proj.weight",
            "block_sparse_moe.gate.weight",
            "block_sparse_moe.experts.0.w1.weight",
            "block_sparse_moe.experts.0.w3.weight",
            "block_sparse_moe.experts.0.w2.weight");
    Checkpoint opened = write(mixtral);
    String expert = "model.layers.1.block_sparse_moe.experts.3.";
    assertThat(opened.weight(expert + "w1.weight").orElseThrow().role())
        .isEqualTo(new TensorRole.RoutedExpert(1, 3, Projection.GATE));
    assertThat(opened.weight(expert + "w3.weight").orElseThrow().role())
        .isEqualTo(new TensorRole.RoutedExpert(1, 3, Projection.UP));
    assertThat(opened.weight(expert + "w2.weight").orElseThrow().role())
        .isEqualTo(new TensorRole.RoutedExpert(1, 3, Projection.DOWN));
    assertThat(opened.weight(expert + "w2.weight").orElseThrow().shape())
        .isEqualTo(Shape.of(192, 320));
  }

  @Test
  void namesTheWeightsOfDeepSeekV2Lite() {
    SyntheticCheckpoint lite = model(Architecture.DEEPSEEK_V2);
    assertThat(layer(lite, 1))
        .containsExactlyInAnyOrder(
            "input_layernorm.weight",
            "post_attention_layernorm.weight",
            "self_attn.q_proj.weight",
            "self_attn.kv_a_proj_with_mqa.weight",
            "self_attn.kv_a_layernorm.weight",
            "self_attn.kv_b_proj.weight",
            "self_attn.o_proj.weight",
            "mlp.gate.weight",
            "mlp.experts.0.gate_proj.weight",
            "mlp.experts.0.up_proj.weight",
            "mlp.experts.0.down_proj.weight",
            "mlp.shared_experts.gate_proj.weight",
            "mlp.shared_experts.up_proj.weight",
            "mlp.shared_experts.down_proj.weight");
    assertThat(weights(lite))
        .containsEntry("model.layers.0.mlp.up_proj.weight", Shape.of(320, 192))
        .containsEntry("model.layers.1.mlp.shared_experts.up_proj.weight", Shape.of(192, 192));
    assertThat(layer(lite.with("q_lora_rank", 64), 1))
        .contains(
            "self_attn.q_a_proj.weight",
            "self_attn.q_a_layernorm.weight",
            "self_attn.q_b_proj.weight")
        .doesNotContain("self_attn.q_proj.weight");
  }

  @Test
  void aTiedHeadMayBeLeftOutOrStored() throws IOException {
    SyntheticCheckpoint tied = model(Architecture.QWEN2).with("tie_word_embeddings", true);
    assertThat(write(tied).weight("lm_head.weight")).isEmpty();
    CheckpointDraft draft = model(Architecture.QWEN2).draft();
    draft.config().put("tie_word_embeddings", true);
    draft.write(folder);
    assertThat(open().weight("lm_head.weight")).isPresent();
  }

  @Test
  void namesRotaryFrequenciesAsLeftOver() throws IOException {
    String name = "model.layers.0.self_attn.rotary_emb.inv_freq";
    SyntheticCheckpoint llama = model(Architecture.LLAMA);
    CheckpointDraft draft = llama.draft();
    draft.add("model-00001-of-00002.safetensors", name, ElementType.F32, 24).write(folder);
    Checkpoint opened = open();
    assertThat(opened.leftovers()).hasSize(1);
    assertThat(opened.leftovers().getFirst().tensor().name()).isEqualTo(name);
    assertThat(opened.leftovers().getFirst().reason())
        .isEqualTo(Leftover.Reason.ROTARY_FREQUENCIES);
    assertThat(opened.storedTensors()).isEqualTo(opened.weights().size() + 1);
    assertThat(Inventory.of(opened).all().bytes()).isEqualTo(opened.tensorBytes());
  }

  @ParameterizedTest
  @EnumSource
  void everyArchitectureOpensInEveryForm(Architecture architecture) throws IOException {
    for (Form form : Form.values()) {
      for (int shards : new int[] {1, 3}) {
        Path model = folder.resolve(architecture + "-" + form + "-" + shards);
        SyntheticCheckpoint.of(architecture).form(form).shards(shards).write(model);
        try (ModelSource source = ModelSources.open(model)) {
          Checkpoint opened = Checkpoint.open(source);
          assertThat(opened.architecture()).isEqualTo(architecture);
          assertThat(opened.shards()).hasSize(shards);
          assertThat(opened.notes()).isEmpty();
          assertThat(opened.weights().stream().anyMatch(w -> w.scale().isPresent()))
              .isEqualTo(form != Form.BF16);
        }
      }
    }
  }

  @Test
  void weightsComeInTheOrderOfExecution() throws IOException {
    List<String> names =
        write(model(Architecture.DEEPSEEK_V3)).weights().stream().map(Weight::name).toList();
    assertThat(names.getFirst()).isEqualTo("model.embed_tokens.weight");
    assertThat(names.getLast()).isEqualTo("lm_head.weight");
    assertThat(names)
        .containsSubsequence(
            "model.layers.1.self_attn.o_proj.weight",
            "model.layers.1.mlp.gate.weight",
            "model.layers.1.mlp.experts.2.down_proj.weight",
            "model.layers.1.mlp.experts.3.gate_proj.weight",
            "model.layers.1.mlp.shared_experts.down_proj.weight",
            "model.layers.3.embed_tokens.weight",
            "model.layers.3.mlp.shared_experts.down_proj.weight",
            "model.layers.3.shared_head.head.weight",
            "model.norm.weight");
  }

  private Checkpoint write(SyntheticCheckpoint model) throws IOException {
    model.write(folder);
    return open();
  }

  private Checkpoint open() throws IOException {
    try (ModelSource source = ModelSources.open(folder)) {
      return Checkpoint.open(source);
    }
  }
}
