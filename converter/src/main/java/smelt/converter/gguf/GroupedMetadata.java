package smelt.converter.gguf;

import java.util.LinkedHashMap;
import java.util.SequencedMap;
import smelt.formats.BadInputException;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.Architecture;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.ModelConfig;
import smelt.formats.gguf.GgufValue;

/// The metadata that llama.cpp's `llama`, `qwen2` and `qwen3moe` read. What a config asks for and
/// the engine does not compute is refused, not left out.
final class GroupedMetadata {

  private final Architecture architecture;
  private final ModelConfig config;
  private final SequencedMap<String, GgufValue> entries = new LinkedHashMap<>();

  private GroupedMetadata(Checkpoint checkpoint) {
    architecture = checkpoint.architecture();
    config = checkpoint.config();
  }

  static SequencedMap<String, GgufValue> of(Checkpoint checkpoint) {
    GroupedMetadata metadata = new GroupedMetadata(checkpoint);
    metadata.refuseOthers();
    metadata.sizes();
    metadata.attention();
    RopeMetadata.put(metadata.config, metadata::put);
    if (metadata.config.routedExperts().isPresent()) {
      metadata.experts();
    }
    return metadata.entries;
  }

  /// llama.cpp's name of an architecture.
  static String name(Architecture architecture) {
    return switch (architecture) {
      case LLAMA, MIXTRAL -> "llama";
      case QWEN2 -> "qwen2";
      case QWEN3_MOE -> "qwen3moe";
      case DEEPSEEK_V2, DEEPSEEK_V3, DEEPSEEK_V32 -> DeepSeekMetadata.ARCHITECTURE;
    };
  }

  private void refuseOthers() {
    boolean slides =
        switch (architecture) {
          case QWEN2, QWEN3_MOE -> config.flag("use_sliding_window");
          case MIXTRAL -> config.optionalInt("sliding_window", 1, 1 << 30).isPresent();
          case LLAMA, DEEPSEEK_V2, DEEPSEEK_V3, DEEPSEEK_V32 -> false;
        };
    if (slides) {
      throw refused("a sliding window", "attends to everything");
    }
    if (config.number("partial_rotary_factor").orElse(1) != 1) {
      throw refused("partial_rotary_factor", "rotates whole heads");
    }
    if (architecture == Architecture.QWEN3_MOE && !config.flag("norm_topk_prob")) {
      throw refused("norm_topk_prob false", "divides the experts' weights by their sum");
    }
  }

  private UnsupportedException refused(String found, String engine) {
    return new UnsupportedException(
        ModelConfig.FILE + ": " + found, "llama.cpp's " + name(architecture) + " " + engine);
  }

  private void sizes() {
    u32("block_count", config.numHiddenLayers());
    u32("context_length", config.requireInt("max_position_embeddings", 1, Integer.MAX_VALUE));
    u32("embedding_length", config.hiddenSize());
    u32("feed_forward_length", config.intermediateSize());
    u32("vocab_size", config.vocabSize());
  }

  private void attention() {
    u32("attention.head_count", config.numAttentionHeads());
    u32("attention.head_count_kv", config.numKeyValueHeads());
    double eps =
        config
            .number("rms_norm_eps")
            .orElseThrow(() ->
                new BadInputException(
                    ModelConfig.FILE,
                    "no rms_norm_eps",
                    "a number",
                    "use the " + ModelConfig.FILE + " that was published with the weights"));
    put("attention.layer_norm_rms_epsilon", new GgufValue.F32((float) eps));
    u32("attention.key_length", config.headDim());
    u32("attention.value_length", config.headDim());
    u32("rope.dimension_count", config.headDim());
  }

  private void experts() {
    int count = config.routedExperts().orElseThrow();
    u32("expert_count", count);
    u32("expert_used_count", config.requireInt("num_experts_per_tok", 1, count));
    if (architecture == Architecture.QWEN3_MOE) {
      u32("expert_feed_forward_length", config.moeIntermediateSize());
    }
  }

  private void u32(String name, long value) {
    put(name, new GgufValue.U32(value));
  }

  private void put(String name, GgufValue value) {
    entries.put(name(architecture) + "." + name, value);
  }
}
