package smelt.calibrate.model;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import smelt.calibrate.math.RopeLayout;
import smelt.formats.BadInputException;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.ModelConfig;

/// Reads the config of DeepSeek-V2, V3 and V3.2.
///
/// V3.2's sparse attention looks at the `index_topk` keys that its indexer prefers. As long as a
/// sequence has no more keys than that it looks at all of them, so the indexer changes nothing and
/// is not run.
final class DeepSeekSpec {

  private DeepSeekSpec() {}

  static ModelSpec of(ModelConfig config, OptionalInt contextLimit) {
    Rope rope = rope(config);
    return new ModelSpec(
        config.hiddenSize(),
        config.vocabSize(),
        ConfigValues.normEps(config),
        config.tiedEmbeddings(),
        attention(config, rope),
        rope,
        layers(config),
        contextLimit);
  }

  private static Rope rope(ModelConfig config) {
    int size = config.requireInt("qk_rope_head_dim", 2, 1 << 16);
    boolean halves = config.tree().path("rope_interleave").toString().equals("false");
    RopeLayout layout = halves ? RopeLayout.HALVES : RopeLayout.INTERLEAVED;
    return ConfigValues.rope(config, size, layout);
  }

  private static Attention.Mla attention(ModelConfig config, Rope rope) {
    int plain = config.requireInt("qk_nope_head_dim", 1, 1 << 16);
    double scale = 1 / Math.sqrt(plain + rope.size());
    if (rope.scaling() instanceof Rope.Scaling.Yarn yarn) {
      scale *= yarn.softmaxFactor();
    }
    return new Attention.Mla(
        config.numAttentionHeads(),
        config.qLoraRank(),
        config.kvLoraRank(),
        plain,
        rope.size(),
        config.requireInt("v_head_dim", 1, 1 << 16),
        scale);
  }

  private static List<FeedForward> layers(ModelConfig config) {
    List<FeedForward> layers = new ArrayList<>();
    for (int layer = 0; layer < config.numHiddenLayers(); layer++) {
      boolean experts =
          config.routedExperts().isPresent()
              && layer >= config.firstDenseLayers()
              && layer % config.moeLayerFrequency() == 0;
      layers.add(experts ? experts(config) : new FeedForward.Dense(config.intermediateSize()));
    }
    return layers;
  }

  private static FeedForward experts(ModelConfig config) {
    int width = config.moeIntermediateSize();
    int shared = Math.multiplyExact(width, config.sharedExperts());
    return new FeedForward.Experts(rule(config), width, shared);
  }

  private static RoutingRule rule(ModelConfig config) {
    int experts = config.routedExperts().orElseThrow();
    int chosen = config.requireInt("num_experts_per_tok", 1, experts);
    String method = config.topkMethod().orElse("greedy");
    boolean grouped = !method.equals("greedy");
    int groups = grouped ? config.requireInt("n_group", 1, experts) : 1;
    int kept = grouped ? config.requireInt("topk_group", 1, groups) : 1;
    if (experts % groups != 0 || chosen > experts / groups * kept) {
      throw new BadInputException(
          ModelConfig.FILE,
          chosen + " of " + experts + " experts in " + kept + " of " + groups + " groups",
          "groups of equal size that hold the experts of a token",
          "use the " + ModelConfig.FILE + " that was published with the weights");
    }
    boolean renormalised = chosen > 1 && config.flag("norm_topk_prob");
    double factor = config.number("routed_scaling_factor").orElse(1);
    return switch (method) {
      case "noaux_tc" -> {
        requireScoring(config, method, "sigmoid");
        yield new RoutingRule.BiasedSigmoid(experts, chosen, groups, kept, renormalised, factor);
      }
      case "greedy", "group_limited_greedy" -> {
        requireScoring(config, method, "softmax");
        requireOneOfBoth(renormalised, factor);
        yield new RoutingRule.Softmax(experts, chosen, groups, kept, renormalised, factor);
      }
      default ->
          throw new UnsupportedException(
              ModelConfig.FILE + ": topk_method " + method,
              "noaux_tc, greedy and group_limited_greedy are");
    };
  }

  /// DeepSeek-V2's published code leaves the factor out where it divides by the sum; runtimes apply
  /// both.
  private static void requireOneOfBoth(boolean renormalised, double factor) {
    if (renormalised && factor != 1) {
      throw new UnsupportedException(
          ModelConfig.FILE + ": norm_topk_prob with routed_scaling_factor " + factor,
          "softmax routing is supported with one of both, since runtimes disagree about the other");
    }
  }

  private static void requireScoring(ModelConfig config, String method, String scoring) {
    String found = config.text("scoring_func").orElse(scoring);
    if (!found.equals(scoring)) {
      throw new UnsupportedException(
          ModelConfig.FILE + ": topk_method " + method + " with scoring_func " + found,
          method + " is supported with " + scoring);
    }
  }
}
