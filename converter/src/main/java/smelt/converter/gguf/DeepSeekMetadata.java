package smelt.converter.gguf;

import java.util.LinkedHashMap;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.SequencedMap;
import smelt.formats.BadInputException;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.Architecture;
import smelt.formats.checkpoint.ModelConfig;
import smelt.formats.gguf.GgufValue;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// The metadata that llama.cpp's `deepseek2` reads, from the config of a DeepSeek-V2 or V3.
///
/// Attention is described as the engine computes it, with one head of keys and values as wide as
/// the low rank: `key_length` is kv rank + rope and `value_length` the kv rank; what the model
/// means is in `key_length_mla` (nope + rope) and `value_length_mla`. Where `kv_b_proj` is fused
/// the engine computes whole heads, and is told of those alone.
final class DeepSeekMetadata {

  static final String ARCHITECTURE = "deepseek2";

  private final Architecture architecture;
  private final ModelConfig config;
  private final ObjectNode tree;
  private final SequencedMap<String, GgufValue> entries = new LinkedHashMap<>();

  private DeepSeekMetadata(Architecture architecture, ModelConfig config) {
    this.architecture = architecture;
    this.config = config;
    this.tree = config.tree();
  }

  static SequencedMap<String, GgufValue> of(
      Architecture architecture, ModelConfig config, LatentForm latent) {
    DeepSeekMetadata metadata = new DeepSeekMetadata(architecture, config);
    metadata.requireRecognised();
    metadata.sizes();
    metadata.rope();
    metadata.attention(latent);
    metadata.experts();
    return metadata.entries;
  }

  /// The engine knows by the number of layers alone whether the query has a low rank; and its
  /// groups of experts are ranked by the sum of their two best, where DeepSeek-V2 takes the best.
  private void requireRecognised() {
    int layers = config.numHiddenLayers();
    boolean lite = layers == 27 || layers == 26 || (layers == 48 && config.vocabSize() == 128_256);
    if (lite == config.qLoraRank().isPresent()) {
      throw new UnsupportedException(
          ModelConfig.FILE
              + ": "
              + layers
              + " layers "
              + (lite ? "with" : "without")
              + " q_lora_rank",
          "llama.cpp's deepseek2 takes 26 and 27 layers, and no others, to be without");
    }
    if (config.topkMethod().filter("group_limited_greedy"::equals).isPresent()) {
      throw new UnsupportedException(
          ModelConfig.FILE + ": topk_method group_limited_greedy",
          "llama.cpp's deepseek2 ranks groups by their two best experts, as noaux_tc does");
    }
  }

  private void sizes() {
    u32("block_count", config.numHiddenLayers());
    u32("context_length", config.requireInt("max_position_embeddings", 1, Integer.MAX_VALUE));
    u32("embedding_length", config.hiddenSize());
    u32("feed_forward_length", config.intermediateSize());
    u32("vocab_size", config.vocabSize());
  }

  private void rope() {
    u32("rope.dimension_count", config.requireInt("qk_rope_head_dim", 1, 1 << 16));
    f32("rope.freq_base", number(tree, "rope_theta").orElse(10_000f));
    JsonNode scaling = tree.path("rope_scaling");
    if (scaling.isMissingNode() || scaling.isNull()) {
      return;
    }
    String type = scaling.path("type").asString(scaling.path("rope_type").asString("none"));
    if (!type.equals("yarn")) {
      throw new UnsupportedException(
          ModelConfig.FILE + ": rope_scaling of type " + type, "yarn, or none, can be written");
    }
    entries.put(key("rope.scaling.type"), new GgufValue.Text(type));
    f32("rope.scaling.factor", required(scaling, "factor"));
    u32(
        "rope.scaling.original_context_length",
        (long) required(scaling, "original_max_position_embeddings"));
    f32("rope.scaling.yarn_beta_fast", number(scaling, "beta_fast").orElse(32f));
    f32("rope.scaling.yarn_beta_slow", number(scaling, "beta_slow").orElse(1f));
    logMultiplier(scaling);
  }

  /// The engine multiplies attention by (1 + this x ln factor) squared, and takes the model's two
  /// multipliers to be equal.
  private void logMultiplier(JsonNode scaling) {
    Optional<Float> all = number(scaling, "mscale_all_dim");
    Optional<Float> one = number(scaling, "mscale");
    if (all.isPresent() && one.isPresent() && !all.equals(one)) {
      throw new UnsupportedException(
          ModelConfig.FILE
              + ": rope_scaling with mscale "
              + one.get()
              + " and mscale_all_dim "
              + all.get(),
          "llama.cpp's deepseek2 takes them to be equal");
    }
    all.ifPresent(value -> f32("rope.scaling.yarn_log_multiplier", 0.1f * value));
  }

  private void attention(LatentForm latent) {
    int rope = config.requireInt("qk_rope_head_dim", 1, 1 << 16);
    int nope = config.requireInt("qk_nope_head_dim", 1, 1 << 16);
    u32("attention.head_count", config.numAttentionHeads());
    u32("attention.head_count_kv", latent == LatentForm.SPLIT ? 1 : config.numAttentionHeads());
    f32("attention.layer_norm_rms_epsilon", required(tree, "rms_norm_eps"));
    config.qLoraRank().ifPresent(rank -> u32("attention.q_lora_rank", rank));
    u32("attention.kv_lora_rank", config.kvLoraRank());
    int value = config.requireInt("v_head_dim", 1, 1 << 16);
    switch (latent) {
      case SPLIT -> {
        u32("attention.key_length", (long) config.kvLoraRank() + rope);
        u32("attention.value_length", config.kvLoraRank());
        u32("attention.key_length_mla", (long) nope + rope);
        u32("attention.value_length_mla", value);
      }
      case FUSED -> {
        u32("attention.key_length", (long) nope + rope);
        u32("attention.value_length", value);
      }
    }
  }

  private void experts() {
    OptionalInt experts = config.routedExperts();
    if (experts.isEmpty()) {
      throw new UnsupportedException(
          ModelConfig.FILE + ": a DeepSeek-V3 without experts", "n_routed_experts is needed");
    }
    if (config.moeLayerFrequency() != 1) {
      throw new UnsupportedException(
          ModelConfig.FILE + ": moe_layer_freq " + config.moeLayerFrequency(),
          "llama.cpp expects experts in every layer behind the dense ones");
    }
    u32("expert_count", experts.getAsInt());
    u32("expert_used_count", config.requireInt("num_experts_per_tok", 1, experts.getAsInt()));
    config
        .optionalInt("n_group", 1, experts.getAsInt())
        .ifPresent(groups -> {
          u32("expert_group_count", groups);
          u32("expert_group_used_count", config.requireInt("topk_group", 1, groups));
        });
    u32("expert_gating_func", gating());
    u32("expert_feed_forward_length", config.moeIntermediateSize());
    u32("expert_shared_count", config.sharedExperts());
    f32("expert_weights_scale", number(tree, "routed_scaling_factor").orElse(1f));
    entries.put(key("expert_weights_norm"), new GgufValue.Bool(config.flag("norm_topk_prob")));
    u32("leading_dense_block_count", config.firstDenseLayers());
  }

  private int gating() {
    String function =
        config
            .text("scoring_func")
            .orElse(architecture == Architecture.DEEPSEEK_V2 ? "softmax" : "sigmoid");
    return switch (function) {
      case "softmax" -> 1;
      case "sigmoid" -> 2;
      default ->
          throw new UnsupportedException(
              ModelConfig.FILE + ": scoring_func " + function,
              "softmax and sigmoid can be written");
    };
  }

  private static String key(String name) {
    return ARCHITECTURE + "." + name;
  }

  private void u32(String name, long value) {
    entries.put(key(name), new GgufValue.U32(value));
  }

  private void f32(String name, float value) {
    entries.put(key(name), new GgufValue.F32(value));
  }

  private static float required(JsonNode node, String name) {
    return number(node, name)
        .orElseThrow(() ->
            new BadInputException(
                ModelConfig.FILE,
                "no " + name,
                "a number",
                "use the " + ModelConfig.FILE + " that was published with the weights"));
  }

  private static Optional<Float> number(JsonNode node, String name) {
    JsonNode value = node.path(name);
    if (value.isMissingNode() || value.isNull()) {
      return Optional.empty();
    }
    if (!value.isNumber() || !Float.isFinite((float) value.doubleValue())) {
      throw new BadInputException(
          ModelConfig.FILE, name + " = " + value, "a number", "correct this value");
    }
    return Optional.of((float) value.doubleValue());
  }
}
