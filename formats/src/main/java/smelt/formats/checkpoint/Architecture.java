package smelt.formats.checkpoint;

import java.util.Arrays;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import smelt.formats.BadInputException;
import smelt.formats.UnsupportedException;

/// The model architectures whose checkpoints Smelt reads, each with the names, roles and shapes of
/// its weights. A checkpoint must have exactly these weights: that is how a missing expert or an
/// unknown tensor is found.
public enum Architecture {
  /// DeepSeek-V2, and V2-Lite (`q_lora_rank` null: one `q_proj`).
  DEEPSEEK_V2("DeepseekV2ForCausalLM"),
  /// DeepSeek-V3, V3-0324, R1, V3.1 (`scale_fmt` ue8m0).
  DEEPSEEK_V3("DeepseekV3ForCausalLM"),
  /// DeepSeek-V3.2: V3 with the indexer of sparse attention.
  DEEPSEEK_V32("DeepseekV32ForCausalLM"),
  QWEN3_MOE("Qwen3MoeForCausalLM"),
  QWEN2("Qwen2ForCausalLM"),
  LLAMA("LlamaForCausalLM"),
  MIXTRAL("MixtralForCausalLM");

  /// Layers times experts of the largest model that is accepted.
  private static final long EXPERTS_LIMIT = 1_000_000;

  private final String className;

  Architecture(String className) {
    this.className = className;
  }

  /// The name in `architectures` of a `config.json`.
  public String className() {
    return className;
  }

  /// Hands every weight that a model of this config has to `sink`, in canonical order: embedding;
  /// the layers in order; final norm; head. Within a layer the order is that of execution: what an
  /// MTP layer has in front; norm, attention, indexer; norm, router, routed experts by number
  /// (gate, up, down), shared expert or dense feed-forward; an MTP layer's own norm and head.
  ///
  /// @throws BadInputException if the config lacks a value that decides this, or it is out of range
  public void weights(ModelConfig config, Consumer<ExpectedWeight> sink) {
    long layers = (long) config.numHiddenLayers() + config.mtpLayers();
    long experts = layers * config.routedExperts().orElse(0);
    if (experts > EXPERTS_LIMIT) {
      throw new BadInputException(
          ModelConfig.FILE,
          layers + " layers of " + config.routedExperts().orElse(0) + " experts",
          "at most " + EXPERTS_LIMIT + " experts in all",
          "use the " + ModelConfig.FILE + " that was published with the weights");
    }
    switch (this) {
      case DEEPSEEK_V2, DEEPSEEK_V3 -> DeepSeekWeights.list(config, sink);
      case DEEPSEEK_V32 -> DeepSeekWeights.listWithIndexer(config, sink);
      case QWEN3_MOE -> LlamaLikeWeights.qwen3Moe(config, sink);
      case QWEN2 -> LlamaLikeWeights.qwen2(config, sink);
      case LLAMA -> LlamaLikeWeights.llama(config, sink);
      case MIXTRAL -> LlamaLikeWeights.mixtral(config, sink);
    }
  }

  /// The architecture that a config names.
  ///
  /// @throws UnsupportedException if it names one that is not supported
  /// @throws BadInputException if it names none
  public static Architecture of(ModelConfig config) {
    String type = config.modelType().orElse("");
    if (type.equals("deepseek_v4")) {
      throw nativeNames(ModelConfig.FILE + ": model_type deepseek_v4");
    }
    String name =
        config
            .architectureName()
            .orElseThrow(() ->
                new BadInputException(
                    ModelConfig.FILE,
                    "no architectures",
                    "a list with the name of the model's class",
                    "use the " + ModelConfig.FILE + " that was published with the weights"));
    if (name.startsWith("DeepseekV4")) {
      throw nativeNames(ModelConfig.FILE + ": architecture " + name);
    }
    return Arrays.stream(values())
        .filter(a -> a.className.equals(name))
        .findFirst()
        .orElseThrow(() ->
            new UnsupportedException(
                ModelConfig.FILE + ": architecture " + name, "supported are " + supported()));
  }

  /// The refusal of DeepSeek-V4, by whatever it was recognised.
  static UnsupportedException nativeNames(String seenAt) {
    return new UnsupportedException(
        "DeepSeek-V4 ("
            + seenAt
            + "; its weights are named like layers.0.attn.wq_a, with scales"
            + " named .scale in F8_E8M0 and FP4 experts)",
        "supported are " + supported());
  }

  private static String supported() {
    return Arrays.stream(values()).map(Architecture::className).collect(Collectors.joining(", "));
  }
}
