package smelt.calibrate.observe;

import java.util.Optional;
import smelt.formats.checkpoint.TensorRole;

/// A place in a model where numbers enter linears. Weights that read the same numbers have the same
/// site.
///
/// The tokens of an `ExpertInput` are those of the layer's `FeedForwardInput` that the router sent
/// to the expert: the layer's site is the pool that all experts of the layer draw from. The numbers
/// at an `ExpertDown` are the expert's own, and have no pool.
public sealed interface Site {

  /// The layer; that of [HeadInput] is the number of layers.
  int layer();

  /// The site's name within its layer, such as `attention_input` or `expert_down`.
  String label();

  /// Normed hidden states before attention: `q_a`, `kv_a`; `q`, `k`, `v`.
  record AttentionInput(int layer) implements Site {
    @Override
    public String label() {
      return "attention_input";
    }
  }

  /// The normed latent vector of the query: `q_b`.
  record QueryLatent(int layer) implements Site {
    @Override
    public String label() {
      return "query_latent";
    }
  }

  /// The normed latent vector of keys and values: `kv_b`.
  record KeyValueLatent(int layer) implements Site {
    @Override
    public String label() {
      return "key_value_latent";
    }
  }

  /// The output of all heads: `o`.
  record AttentionOutput(int layer) implements Site {
    @Override
    public String label() {
      return "attention_output";
    }
  }

  /// Normed hidden states before the second half of a layer: router, shared expert, dense gate and
  /// up. All tokens pass here.
  record FeedForwardInput(int layer) implements Site {
    @Override
    public String label() {
      return "feed_forward_input";
    }
  }

  /// `silu(gate) * up` of a dense layer: its `down`.
  record DenseDown(int layer) implements Site {
    @Override
    public String label() {
      return "dense_down";
    }
  }

  /// `silu(gate) * up` of the shared expert: its `down`.
  record SharedDown(int layer) implements Site {
    @Override
    public String label() {
      return "shared_down";
    }
  }

  /// Normed hidden states of the tokens of one routed expert: its gate and up.
  record ExpertInput(int layer, int expert) implements Site {
    @Override
    public String label() {
      return "expert_input";
    }
  }

  /// `silu(gate) * up` of one routed expert: its `down`.
  record ExpertDown(int layer, int expert) implements Site {
    @Override
    public String label() {
      return "expert_down";
    }
  }

  /// Normed hidden states behind the last layer: the head.
  record HeadInput(int layer) implements Site {
    @Override
    public String label() {
      return "head_input";
    }
  }

  /// Where a weight's input is measured; empty for what is no linear of the forward pass.
  ///
  /// @param layers number of layers that are run
  static Optional<Site> of(TensorRole role, int layers) {
    Site site =
        switch (role) {
          case TensorRole.Attention(int layer, TensorRole.AttentionPart part) ->
              switch (part) {
                case Q, K, V, Q_A, KV_A -> new AttentionInput(layer);
                case Q_B -> new QueryLatent(layer);
                case KV_B -> new KeyValueLatent(layer);
                case O -> new AttentionOutput(layer);
              };
          case TensorRole.Router(int layer) -> new FeedForwardInput(layer);
          case TensorRole.DenseMlp mlp ->
              switch (mlp.projection()) {
                case GATE, UP -> new FeedForwardInput(mlp.layerIndex());
                case DOWN -> new DenseDown(mlp.layerIndex());
              };
          case TensorRole.SharedExpert shared ->
              switch (shared.projection()) {
                case GATE, UP -> new FeedForwardInput(shared.layerIndex());
                case DOWN -> new SharedDown(shared.layerIndex());
              };
          case TensorRole.RoutedExpert expert ->
              switch (expert.projection()) {
                case GATE, UP -> new ExpertInput(expert.layerIndex(), expert.expert());
                case DOWN -> new ExpertDown(expert.layerIndex(), expert.expert());
              };
          case TensorRole.Head _ -> new HeadInput(layers);
          case TensorRole.Embedding _,
              TensorRole.FinalNorm _,
              TensorRole.Norm _,
              TensorRole.AttentionBias _,
              TensorRole.Indexer _,
              TensorRole.RouterBias _,
              TensorRole.Mtp _,
              TensorRole.Foreign _ ->
              null;
        };
    return Optional.ofNullable(site)
        .filter(found -> found instanceof HeadInput || found.layer() < layers);
  }
}
