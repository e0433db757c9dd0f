package smelt.calibrate.model;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;
import smelt.calibrate.math.RopeLayout;
import smelt.formats.BadInputException;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.Architecture;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.ModelConfig;
import smelt.formats.checkpoint.TensorRole;

/// Reads the config of the architectures with grouped-query attention: Llama, Qwen2, Qwen3-MoE and
/// Mixtral.
///
/// Where a config switches a sliding window on, a token attends to no more than that many tokens,
/// itself among them. A sequence that is no longer than the window never notices, so the window is
/// the spec's context limit.
final class GroupedSpec {

  private final Architecture architecture;
  private final Checkpoint checkpoint;
  private final ModelConfig config;

  private GroupedSpec(Checkpoint checkpoint) {
    architecture = checkpoint.architecture();
    this.checkpoint = checkpoint;
    config = checkpoint.config();
  }

  static ModelSpec of(Checkpoint checkpoint) {
    return new GroupedSpec(checkpoint).spec();
  }

  private ModelSpec spec() {
    refuseOtherRotations();
    requireTheta();
    Rope rope = ConfigValues.rope(config, headSize(), RopeLayout.HALVES);
    return new ModelSpec(
        config.hiddenSize(),
        config.vocabSize(),
        ConfigValues.normEps(config),
        config.tiedEmbeddings(),
        attention(),
        rope,
        layers(),
        window());
  }

  /// What some models of these names rotate differently, or runtimes disagree about.
  private void refuseOtherRotations() {
    if (config.number("partial_rotary_factor").orElse(1) != 1) {
      throw new UnsupportedException(
          ModelConfig.FILE + ": partial_rotary_factor", "heads that are rotated as a whole are");
    }
    if (config.flag("use_mrope")) {
      throw new UnsupportedException(
          ModelConfig.FILE + ": use_mrope true", "positions that are one number are");
    }
    for (String name : List.of("rope_scaling", "rope_parameters")) {
      for (String key : List.of("mscale", "mscale_all_dim")) {
        if (config.section(name).map(s -> s.number(key).isPresent()).orElse(false)) {
          throw new UnsupportedException(
              ModelConfig.FILE + ": " + name + " with " + key,
              architecture.className() + " is supported with its usual yarn");
        }
      }
    }
  }

  /// Whoever leaves `rope_theta` out means 10,000, except for Mixtral, where runtimes differ.
  private void requireTheta() {
    boolean given =
        config.number("rope_theta").isPresent() || config.section("rope_parameters").isPresent();
    if (architecture == Architecture.MIXTRAL && !given) {
      throw wrong("no rope_theta", "the base of the rotation, such as 1000000");
    }
  }

  private int headSize() {
    int size = config.headDim();
    if (size % 2 != 0) {
      throw wrong("heads of " + size + " numbers", "an even number, for they turn in pairs");
    }
    return size;
  }

  private Attention.Grouped attention() {
    int heads = config.numAttentionHeads();
    int keyValueHeads = config.numKeyValueHeads();
    if (heads % keyValueHeads != 0) {
      throw wrong(
          heads + " num_attention_heads, " + keyValueHeads + " num_key_value_heads",
          "a multiple of num_key_value_heads");
    }
    boolean headNorms =
        switch (architecture) {
          case QWEN3_MOE -> true;
          case QWEN2, LLAMA, MIXTRAL -> false;
          case DEEPSEEK_V2, DEEPSEEK_V3, DEEPSEEK_V32 -> throw new AssertionError(architecture);
        };
    double scale = 1 / Math.sqrt(headSize());
    return new Attention.Grouped(heads, keyValueHeads, headSize(), headNorms, scale);
  }

  /// A layer has experts where the checkpoint has a router for it: which layers have one, the
  /// checkpoint's reader has found from the config.
  private List<FeedForward> layers() {
    Set<Integer> routed = new HashSet<>();
    checkpoint
        .weights()
        .forEach(weight -> {
          if (weight.role() instanceof TensorRole.Router router) {
            routed.add(router.layerIndex());
          }
        });
    List<FeedForward> layers = new ArrayList<>();
    for (int layer = 0; layer < config.numHiddenLayers(); layer++) {
      layers.add(
          routed.contains(layer) ? experts() : new FeedForward.Dense(config.intermediateSize()));
    }
    return layers;
  }

  private FeedForward.Experts experts() {
    int count = config.routedExperts().orElseThrow();
    int chosen = config.requireInt("num_experts_per_tok", 1, count);
    return switch (architecture) {
      case QWEN3_MOE -> {
        boolean renormalised = config.flag("norm_topk_prob");
        RoutingRule rule = new RoutingRule.Softmax(count, chosen, 1, 1, renormalised, 1);
        yield new FeedForward.Experts(rule, config.moeIntermediateSize(), 0);
      }
      case MIXTRAL -> {
        RoutingRule rule = new RoutingRule.Softmax(count, chosen, 1, 1, true, 1);
        yield new FeedForward.Experts(rule, config.intermediateSize(), 0);
      }
      case QWEN2, LLAMA, DEEPSEEK_V2, DEEPSEEK_V3, DEEPSEEK_V32 ->
          throw new AssertionError(architecture);
    };
  }

  private OptionalInt window() {
    boolean slides =
        switch (architecture) {
          case QWEN2 -> config.flag("use_sliding_window") && !allLayersBelowWindow();
          case QWEN3_MOE -> config.flag("use_sliding_window");
          case MIXTRAL -> true;
          case LLAMA, DEEPSEEK_V2, DEEPSEEK_V3, DEEPSEEK_V32 -> false;
        };
    return slides ? config.optionalInt("sliding_window", 1, 1 << 30) : OptionalInt.empty();
  }

  /// Qwen2 attends to everything in the first `max_window_layers` layers.
  private boolean allLayersBelowWindow() {
    OptionalInt full = config.optionalInt("max_window_layers", 0, 1 << 20);
    return full.isPresent() && full.getAsInt() >= config.numHiddenLayers();
  }

  private static BadInputException wrong(String found, String expected) {
    return new BadInputException(
        ModelConfig.FILE,
        found,
        expected,
        "use the " + ModelConfig.FILE + " that was published with the weights");
  }
}
