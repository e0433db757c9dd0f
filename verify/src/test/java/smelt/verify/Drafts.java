package smelt.verify;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.formats.checkpoint.Architecture;
import smelt.formats.checkpoint.ExpectedWeight;
import smelt.formats.checkpoint.ModelConfig;
import tools.jackson.databind.node.ObjectNode;

/// Good checkpoints of a very small DeepSeek-V3, in each encoding.
final class Drafts {

  static final String ATTENTION = "model.layers.0.self_attn.";
  static final String EXPERTS = "model.layers.1.mlp.experts.";

  private static final Set<String> LINEARS =
      Set.of(
          "q_a_proj",
          "q_b_proj",
          "kv_a_proj_with_mqa",
          "kv_b_proj",
          "o_proj",
          "gate_proj",
          "up_proj",
          "down_proj");

  /// Puts codes and companions of one module into a draft.
  private interface Encoder {
    void encode(ModelDraft draft, String module, Shape shape);
  }

  private Drafts() {}

  static ModelDraft bf16() {
    return draft(config(), Set.of(), (_, _, _) -> {});
  }

  static ModelDraft fp8Block() {
    return fp8Block(config());
  }

  static ModelDraft fp8Block(ObjectNode config) {
    return fp8Block(config, 128);
  }

  /// Other blocks than those of DeepSeek.
  static ModelDraft fp8Block(int size) {
    return fp8Block(config(), size);
  }

  private static ModelDraft fp8Block(ObjectNode config, int size) {
    ModelDraft draft =
        draft(
            config,
            LINEARS,
            (d, m, s) -> {
              d.fill(m + ".weight", ElementType.F8_E4M3, s, 0x38);
              long rows = Math.ceilDiv(s.dim(0), (long) size);
              long cols = Math.ceilDiv(s.dim(1), (long) size);
              d.floats(m + ".weight_scale_inv", Shape.of(rows, cols), 0.5f);
            });
    ObjectNode node = quantization(draft, "fp8");
    node.put("activation_scheme", "dynamic").put("fmt", "e4m3");
    node.putArray("weight_block_size").add(size).add(size);
    return draft;
  }

  static ModelDraft fp8Tensor() {
    ModelDraft draft =
        draft(
            config(),
            LINEARS,
            (d, m, s) -> {
              d.fill(m + ".weight", ElementType.F8_E4M3, s, 0x38);
              d.floats(m + ".weight_scale", Shape.of(), 0.5f);
            });
    quantization(draft, "fp8").put("activation_scheme", "dynamic");
    return draft;
  }

  static ModelDraft int8Block() {
    ModelDraft draft = draft(config(), LINEARS, (d, m, s) -> block(d, m, s, ElementType.I8));
    quantization(draft, "blockwise_int8").putArray("weight_block_size").add(128).add(128);
    return draft;
  }

  static ModelDraft int8Channel() {
    ModelDraft draft = draft(config(), LINEARS, (d, m, s) -> channel(d, m, s, ElementType.I8));
    quantization(draft, "w8a8_int8");
    return draft;
  }

  static ModelDraft ctInt8() {
    return ctInt8(config());
  }

  static ModelDraft ctInt8(ObjectNode config) {
    ModelDraft draft =
        draft(config, without("kv_b_proj"), (d, m, s) -> channel(d, m, s, ElementType.I8));
    ObjectNode group = ct(draft, "int-quantized", "re:.*kv_b_proj$");
    args(group.putObject("weights"), "int", "channel", false);
    args(group.putObject("input_activations"), "int", "token", true);
    return draft;
  }

  static ModelDraft ctFp8Channel() {
    ModelDraft draft = draft(config(), LINEARS, (d, m, s) -> channel(d, m, s, ElementType.F8_E4M3));
    ObjectNode group = ct(draft, "float-quantized");
    args(group.putObject("weights"), "float", "channel", false);
    args(group.putObject("input_activations"), "float", "token", true);
    return draft;
  }

  static ModelDraft ctFp8Block() {
    ModelDraft draft =
        draft(
            config(),
            LINEARS,
            (d, m, s) -> {
              d.fill(m + ".weight", ElementType.F8_E4M3, s, 0x38);
              d.floats(m + ".weight_scale", blocks(s), 0.5f);
            });
    ObjectNode group = ct(draft, "float-quantized");
    args(group.putObject("weights"), "float", "block", false)
        .putArray("block_structure")
        .add(128)
        .add(128);
    args(group.putObject("input_activations"), "float", "group", true).put("group_size", 128);
    return draft;
  }

  static ModelDraft ctInt4() {
    ModelDraft draft =
        draft(
            config(),
            LINEARS,
            (d, m, s) -> {
              d.remove(m + ".weight");
              d.fill(m + ".weight_packed", ElementType.I32, Shape.of(s.dim(0), s.dim(1) / 8), 7);
              d.floats(m + ".weight_scale", Shape.of(s.dim(0), s.dim(1) / 128), 0.5f);
              d.fill(m + ".weight_shape", ElementType.I64, Shape.of(2), 1);
            });
    ObjectNode group = ct(draft, "pack-quantized");
    args(group.putObject("weights"), "int", "group", false)
        .put("num_bits", 4)
        .put("group_size", 128);
    return draft;
  }

  /// Groups of 32 with BF16 scales, codes of -1.
  static ModelDraft rawInt4() {
    return packedInt4(32, ElementType.BF16);
  }

  static ModelDraft packedInt4(int size, ElementType scales) {
    ModelDraft draft =
        draft(
            config(),
            LINEARS,
            (d, m, s) -> {
              d.remove(m + ".weight");
              d.fill(m + ".weight_packed", ElementType.I32, Shape.of(s.dim(0), s.dim(1) / 8), 0x77);
              d.fill(m + ".weight_scale", scales, Shape.of(s.dim(0), s.dim(1) / size), 0x3F);
              d.fill(m + ".weight_shape", ElementType.I64, Shape.of(2), 1);
            });
    ObjectNode group = ct(draft, "pack-quantized");
    args(group.putObject("weights"), "int", "group", false)
        .put("num_bits", 4)
        .put("group_size", size);
    return draft;
  }

  static ModelDraft ascend() {
    ModelDraft draft =
        draft(
            config(),
            without("kv_b_proj"),
            (d, m, s) -> {
              channel(d, m, s, ElementType.I8);
              d.floats(m + ".weight_offset", Shape.of(s.dim(0), 1), 0);
            });
    describe(draft, Map.of());
    return draft;
  }

  /// Writes an Ascend description that fits the draft's tensors, but for some.
  static void describe(ModelDraft draft, Map<String, String> otherwise) {
    ObjectNode description = ModelDraft.JSON.createObjectNode();
    description.put("model_quant_type", "W8A8_DYNAMIC").put("version", "1.0.0");
    description.put("group_size", 0).putObject("metadata");
    description.putObject("optional");
    for (String name : draft.tensors.keySet()) {
      String module = name.substring(0, name.lastIndexOf('.'));
      boolean coded = draft.tensors.containsKey(module + ".weight_scale");
      description.put(name, coded ? "W8A8_DYNAMIC" : "FLOAT");
    }
    otherwise.forEach(description::put);
    draft.files.put("quant_model_description.json", description.toString());
  }

  static ObjectNode config() {
    ObjectNode config = ModelDraft.JSON.createObjectNode();
    config.putArray("architectures").add("DeepseekV3ForCausalLM");
    config.put("model_type", "deepseek_v3").put("topk_method", "noaux_tc");
    config.put("hidden_size", 256).put("intermediate_size", 384).put("moe_intermediate_size", 128);
    config.put("num_hidden_layers", 2).put("num_nextn_predict_layers", 1);
    config.put("first_k_dense_replace", 1).put("moe_layer_freq", 1).put("n_routed_experts", 4);
    config.put("n_shared_experts", 1).put("num_experts_per_tok", 2);
    config.put("num_attention_heads", 4).put("num_key_value_heads", 4);
    config.put("q_lora_rank", 128).put("kv_lora_rank", 128).put("qk_nope_head_dim", 64);
    config.put("qk_rope_head_dim", 32).put("v_head_dim", 64).put("vocab_size", 64);
    return config;
  }

  /// A config of a model without routed experts.
  static ObjectNode denseConfig() {
    return config().put("first_k_dense_replace", 3);
  }

  private static ModelDraft draft(ObjectNode config, Set<String> linears, Encoder encoder) {
    ModelDraft draft = new ModelDraft(config);
    ModelConfig parsed =
        ModelConfig.parse(
            "config.json", config.toString().getBytes(java.nio.charset.StandardCharsets.UTF_8));
    List<ExpectedWeight> weights = new ArrayList<>();
    Architecture.of(parsed).weights(parsed, weights::add);
    for (ExpectedWeight weight : weights) {
      boolean bias = weight.name().endsWith("e_score_correction_bias");
      draft.fill(weight.name(), bias ? ElementType.F32 : ElementType.BF16, weight.shape(), 0x3C);
      if (weight.name().endsWith(".weight")) {
        String module = weight.name().substring(0, weight.name().length() - ".weight".length());
        if (linears.contains(module.substring(module.lastIndexOf('.') + 1))) {
          encoder.encode(draft, module, weight.shape());
        }
      }
    }
    return draft;
  }

  static void block(ModelDraft draft, String module, Shape shape, ElementType codes) {
    draft.fill(module + ".weight", codes, shape, 0x38);
    draft.floats(module + ".weight_scale_inv", blocks(shape), 0.5f);
  }

  static void channel(ModelDraft draft, String module, Shape shape, ElementType codes) {
    draft.fill(module + ".weight", codes, shape, 0x38);
    draft.floats(module + ".weight_scale", Shape.of(shape.dim(0), 1), 0.5f);
  }

  private static Shape blocks(Shape shape) {
    return Shape.of((shape.dim(0) + 127) / 128, (shape.dim(1) + 127) / 128);
  }

  private static Set<String> without(String linear) {
    Set<String> rest = new java.util.HashSet<>(LINEARS);
    rest.remove(linear);
    return rest;
  }

  private static ObjectNode quantization(ModelDraft draft, String method) {
    return draft.config.putObject("quantization_config").put("quant_method", method);
  }

  private static ObjectNode ct(ModelDraft draft, String format, String... ignore) {
    ObjectNode node = quantization(draft, "compressed-tensors").put("format", format);
    node.put("quantization_status", "compressed").put("version", "0.12.2");
    var list = node.putArray("ignore").add("lm_head").add("re:.*mlp\\.gate$");
    list.add("re:.*eh_proj$").add("re:.*shared_head\\.head$");
    for (String more : ignore) {
      list.add(more);
    }
    ObjectNode group = node.putObject("config_groups").putObject("group_0");
    group.putArray("targets").add("Linear");
    return group.put("format", format);
  }

  private static ObjectNode args(ObjectNode args, String type, String strategy, boolean dynamic) {
    args.put("num_bits", 8).put("type", type).put("strategy", strategy);
    return args.put("symmetric", true).put("dynamic", dynamic);
  }
}
