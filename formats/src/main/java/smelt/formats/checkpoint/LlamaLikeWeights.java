package smelt.formats.checkpoint;

import static smelt.formats.checkpoint.ExpectedWeight.optional;
import static smelt.formats.checkpoint.ExpectedWeight.required;

import java.util.HashSet;
import java.util.Set;
import java.util.function.Consumer;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.TensorRole.Attention;
import smelt.formats.checkpoint.TensorRole.AttentionBias;
import smelt.formats.checkpoint.TensorRole.AttentionPart;
import smelt.formats.checkpoint.TensorRole.Norm;

/// The weights of the architectures with grouped-query attention, derived from the config. `L` is
/// `model.layers.N.`, `H` the hidden size, `D` the size of a head.
///
/// | name | shape | where |
/// |---|---|---|
/// | `model.embed_tokens.weight`, `lm_head.weight` | vocabulary, H | all; tied head optional |
/// | `model.norm.weight`, `L input_layernorm`, `L post_attention_layernorm` | H | all |
/// | `L self_attn.q_proj`; `k_proj`, `v_proj` | heads x D, H; kv heads x D, H | all |
/// | `L self_attn.o_proj` | H, heads x D | all |
/// | `L self_attn.{q,k,v}_proj.bias` | rows | Qwen2; the others with `attention_bias` |
/// | `L self_attn.o_proj.bias` | H | Llama and Qwen3-MoE with `attention_bias` |
/// | `L self_attn.q_norm`, `k_norm` | D | Qwen3-MoE |
/// | `L mlp.{gate,up,down}_proj` | intermediate, H (down: H, intermediate) | dense layers |
/// | `L mlp.gate`, `L mlp.experts.E.{gate,up,down}_proj` | experts, H; expert width, H | Qwen3-MoE |
/// | `L block_sparse_moe.gate`, `experts.E.{w1,w3,w2}` (gate, up, down) | same | Mixtral |
final class LlamaLikeWeights {

  /// What tells these architectures apart.
  private enum Family {
    LLAMA,
    QWEN2,
    QWEN3_MOE,
    MIXTRAL
  }

  private final Family family;
  private final ModelConfig config;
  private final Consumer<ExpectedWeight> sink;
  private final int hidden;
  private final int headDim;
  private final long queryRows;
  private final long keyValueRows;
  private final boolean attentionBias;
  private final Set<Integer> denseLayers;

  private LlamaLikeWeights(Family family, ModelConfig config, Consumer<ExpectedWeight> sink) {
    this.family = family;
    this.config = config;
    this.sink = sink;
    hidden = config.hiddenSize();
    headDim = config.headDim();
    queryRows = Math.multiplyExact(config.numAttentionHeads(), (long) headDim);
    keyValueRows = Math.multiplyExact(config.numKeyValueHeads(), (long) headDim);
    attentionBias = config.flag("attention_bias");
    denseLayers = new HashSet<>(config.ints("mlp_only_layers"));
    if (config.flag("mlp_bias")) {
      throw new UnsupportedException(
          ModelConfig.FILE + ": mlp_bias true", "feed-forward blocks without biases are");
    }
  }

  static void llama(ModelConfig config, Consumer<ExpectedWeight> sink) {
    new LlamaLikeWeights(Family.LLAMA, config, sink).model();
  }

  static void qwen2(ModelConfig config, Consumer<ExpectedWeight> sink) {
    new LlamaLikeWeights(Family.QWEN2, config, sink).model();
  }

  static void qwen3Moe(ModelConfig config, Consumer<ExpectedWeight> sink) {
    new LlamaLikeWeights(Family.QWEN3_MOE, config, sink).model();
  }

  static void mixtral(ModelConfig config, Consumer<ExpectedWeight> sink) {
    new LlamaLikeWeights(Family.MIXTRAL, config, sink).model();
  }

  private void model() {
    int vocab = config.vocabSize();
    sink.accept(required("model.embed_tokens.weight", new TensorRole.Embedding(), vocab, hidden));
    for (int layer = 0; layer < config.numHiddenLayers(); layer++) {
      String prefix = "model.layers." + layer + ".";
      norm(layer, prefix + "input_layernorm.weight", hidden);
      attention(layer, prefix + "self_attn.");
      norm(layer, prefix + "post_attention_layernorm.weight", hidden);
      feedForward(layer, prefix);
    }
    sink.accept(required("model.norm.weight", new TensorRole.FinalNorm(), hidden));
    TensorRole head = new TensorRole.Head();
    sink.accept(
        config.tiedEmbeddings()
            ? optional("lm_head.weight", head, vocab, hidden)
            : required("lm_head.weight", head, vocab, hidden));
  }

  private void attention(int layer, String prefix) {
    boolean inputBias = attentionBias || family == Family.QWEN2;
    boolean outputBias =
        switch (family) {
          case LLAMA, QWEN3_MOE -> attentionBias;
          case QWEN2, MIXTRAL -> false;
        };
    linear(layer, prefix + "q_proj", AttentionPart.Q, inputBias, queryRows, hidden);
    linear(layer, prefix + "k_proj", AttentionPart.K, inputBias, keyValueRows, hidden);
    linear(layer, prefix + "v_proj", AttentionPart.V, inputBias, keyValueRows, hidden);
    if (family == Family.QWEN3_MOE) {
      norm(layer, prefix + "q_norm.weight", headDim);
      norm(layer, prefix + "k_norm.weight", headDim);
    }
    linear(layer, prefix + "o_proj", AttentionPart.O, outputBias, hidden, queryRows);
  }

  private void linear(
      int layer, String module, AttentionPart part, boolean bias, long rows, long cols) {
    sink.accept(required(module + ".weight", new Attention(layer, part), rows, cols));
    if (bias) {
      sink.accept(required(module + ".bias", new AttentionBias(layer, part), rows));
    }
  }

  private void feedForward(int layer, String prefix) {
    switch (family) {
      case LLAMA, QWEN2 -> dense(layer, prefix + "mlp.");
      case MIXTRAL ->
          experts(layer, prefix + "block_sparse_moe.", MIXTRAL_NAMES, config.intermediateSize());
      case QWEN3_MOE -> {
        int step = config.optionalInt("decoder_sparse_step", 1, 10_000).orElse(1);
        if (denseLayers.contains(layer) || (layer + 1) % step != 0) {
          dense(layer, prefix + "mlp.");
        } else {
          experts(layer, prefix + "mlp.", PROJECTION_NAMES, config.moeIntermediateSize());
        }
      }
    }
  }

  private void dense(int layer, String prefix) {
    for (Projection p : Projection.values()) {
      TensorRole role = new TensorRole.DenseMlp(layer, p);
      projection(prefix + PROJECTION_NAMES.of(p), p, role, config.intermediateSize());
    }
  }

  private void experts(int layer, String prefix, ProjectionNames names, int width) {
    int count =
        config
            .routedExperts()
            .orElseGet(() -> config.requireInt("num_experts", 1, Integer.MAX_VALUE));
    sink.accept(required(prefix + "gate.weight", new TensorRole.Router(layer), count, hidden));
    for (int expert = 0; expert < count; expert++) {
      for (Projection p : Projection.values()) {
        TensorRole role = new TensorRole.RoutedExpert(layer, expert, p);
        projection(prefix + "experts." + expert + "." + names.of(p), p, role, width);
      }
    }
  }

  private void projection(String module, Projection projection, TensorRole role, long width) {
    String name = module + ".weight";
    sink.accept(
        switch (projection) {
          case GATE, UP -> required(name, role, width, hidden);
          case DOWN -> required(name, role, hidden, width);
        });
  }

  private void norm(int layer, String name, long size) {
    sink.accept(required(name, new Norm(layer), size));
  }

  private static final ProjectionNames PROJECTION_NAMES =
      new ProjectionNames("gate_proj", "up_proj", "down_proj");
  private static final ProjectionNames MIXTRAL_NAMES = new ProjectionNames("w1", "w3", "w2");

  private record ProjectionNames(String gate, String up, String down) {
    String of(Projection projection) {
      return switch (projection) {
        case GATE -> gate;
        case UP -> up;
        case DOWN -> down;
      };
    }
  }
}
