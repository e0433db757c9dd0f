package smelt.formats.checkpoint;

import java.util.OptionalInt;

/// What a tensor is for, whatever its architecture calls it. Layers of multi-token prediction (MTP)
/// have the roles of ordinary layers, with layer numbers from `num_hidden_layers` on, and `Mtp` for
/// what only they have.
public sealed interface TensorRole {

  /// Linear parts of attention; `KV_A` is `kv_a_proj_with_mqa`.
  enum AttentionPart {
    Q,
    K,
    V,
    O,
    Q_A,
    Q_B,
    KV_A,
    KV_B
  }

  /// Parts of DeepSeek-V3.2's sparse-attention indexer.
  enum IndexerPart {
    WQ_B,
    WK,
    K_NORM,
    K_NORM_BIAS,
    WEIGHTS_PROJ
  }

  /// Parts that only an MTP layer has.
  enum MtpPart {
    EMBEDDING,
    HEAD,
    EH_PROJ,
    ENORM,
    HNORM,
    HEAD_NORM
  }

  /// The layer it belongs to; empty for what stands outside the layers.
  OptionalInt layer();

  /// The role's name in recipes and reports, such as `attention.kv_b` or `routed_expert`.
  String label();

  record Embedding() implements TensorRole {
    @Override
    public OptionalInt layer() {
      return OptionalInt.empty();
    }

    @Override
    public String label() {
      return "embedding";
    }
  }

  record Head() implements TensorRole {
    @Override
    public OptionalInt layer() {
      return OptionalInt.empty();
    }

    @Override
    public String label() {
      return "head";
    }
  }

  record FinalNorm() implements TensorRole {
    @Override
    public OptionalInt layer() {
      return OptionalInt.empty();
    }

    @Override
    public String label() {
      return "norm";
    }
  }

  /// A norm inside a layer (before attention, after it, or inside it).
  record Norm(int layerIndex) implements TensorRole {
    @Override
    public OptionalInt layer() {
      return OptionalInt.of(layerIndex);
    }

    @Override
    public String label() {
      return "norm";
    }
  }

  record Attention(int layerIndex, AttentionPart part) implements TensorRole {
    @Override
    public OptionalInt layer() {
      return OptionalInt.of(layerIndex);
    }

    @Override
    public String label() {
      return "attention." + part.name().toLowerCase(java.util.Locale.ROOT);
    }
  }

  /// A bias vector of a linear of attention.
  record AttentionBias(int layerIndex, AttentionPart part) implements TensorRole {
    @Override
    public OptionalInt layer() {
      return OptionalInt.of(layerIndex);
    }

    @Override
    public String label() {
      return "attention_bias";
    }
  }

  record Indexer(int layerIndex, IndexerPart part) implements TensorRole {
    @Override
    public OptionalInt layer() {
      return OptionalInt.of(layerIndex);
    }

    @Override
    public String label() {
      return "indexer." + part.name().toLowerCase(java.util.Locale.ROOT);
    }
  }

  record DenseMlp(int layerIndex, Projection projection) implements TensorRole {
    @Override
    public OptionalInt layer() {
      return OptionalInt.of(layerIndex);
    }

    @Override
    public String label() {
      return "dense_mlp";
    }
  }

  record Router(int layerIndex) implements TensorRole {
    @Override
    public OptionalInt layer() {
      return OptionalInt.of(layerIndex);
    }

    @Override
    public String label() {
      return "router";
    }
  }

  /// `e_score_correction_bias`.
  record RouterBias(int layerIndex) implements TensorRole {
    @Override
    public OptionalInt layer() {
      return OptionalInt.of(layerIndex);
    }

    @Override
    public String label() {
      return "router_bias";
    }
  }

  record RoutedExpert(int layerIndex, int expert, Projection projection) implements TensorRole {
    @Override
    public OptionalInt layer() {
      return OptionalInt.of(layerIndex);
    }

    @Override
    public String label() {
      return "routed_expert";
    }
  }

  record SharedExpert(int layerIndex, Projection projection) implements TensorRole {
    @Override
    public OptionalInt layer() {
      return OptionalInt.of(layerIndex);
    }

    @Override
    public String label() {
      return "shared_expert";
    }
  }

  record Mtp(int layerIndex, MtpPart part) implements TensorRole {
    @Override
    public OptionalInt layer() {
      return OptionalInt.of(layerIndex);
    }

    @Override
    public String label() {
      return "mtp." + part.name().toLowerCase(java.util.Locale.ROOT);
    }
  }

  /// A tensor of a container that is copied without being understood. No checkpoint has one.
  record Foreign() implements TensorRole {
    @Override
    public OptionalInt layer() {
      return OptionalInt.empty();
    }

    @Override
    public String label() {
      return "foreign";
    }
  }
}
