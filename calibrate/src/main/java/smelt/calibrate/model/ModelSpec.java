package smelt.calibrate.model;

import java.util.List;
import java.util.OptionalInt;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.ModelConfig;

/// What a config says about the forward pass, read once.
///
/// @param hidden numbers of a token's hidden state
/// @param vocabulary number of token ids
/// @param eps added to the mean square in every norm
/// @param tiedHead whether the head is the embedding
/// @param layers the feed-forward half of each layer, in order; layers of multi-token prediction
///   are not among them
/// @param contextLimit longest sequence for which this forward pass is the model's; empty where
///   nothing in it depends on the length
public record ModelSpec(
    int hidden,
    int vocabulary,
    double eps,
    boolean tiedHead,
    Attention attention,
    Rope rope,
    List<FeedForward> layers,
    OptionalInt contextLimit) {

  public ModelSpec {
    layers = List.copyOf(layers);
  }

  /// Reads the config of a checkpoint.
  ///
  /// @throws smelt.formats.BadInputException if it lacks a value or has an impossible one
  /// @throws UnsupportedException for a variant that the reference model does not compute
  public static ModelSpec of(Checkpoint checkpoint) {
    ModelConfig config = checkpoint.config();
    config
        .text("hidden_act")
        .filter(name -> !name.equals("silu"))
        .ifPresent(name -> {
          throw new UnsupportedException(ModelConfig.FILE + ": hidden_act " + name, "silu is");
        });
    return switch (checkpoint.architecture()) {
      case DEEPSEEK_V2, DEEPSEEK_V3 -> DeepSeekSpec.of(config, OptionalInt.empty());
      case DEEPSEEK_V32 ->
          DeepSeekSpec.of(config, OptionalInt.of(config.requireInt("index_topk", 1, 1 << 24)));
      case QWEN3_MOE, QWEN2, LLAMA, MIXTRAL -> GroupedSpec.of(checkpoint);
    };
  }

  /// Number of layers that are run.
  public int layerCount() {
    return layers.size();
  }
}
