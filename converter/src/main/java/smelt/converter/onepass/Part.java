package smelt.converter.onepass;

import java.util.OptionalInt;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;

/// Weights of a model that are at hand together: the model runs through them before it goes on to
/// the next ones.
sealed interface Part {

  /// Attention with the norms and biases that belong to it, and the indexer.
  record Attention(int layer) implements Part {}

  /// The gated unit of a layer without experts.
  record Dense(int layer) implements Part {}

  record Shared(int layer) implements Part {}

  record Expert(int layer, int expert) implements Part {}

  /// The shared and all routed experts of a layer, where they are held together.
  record Experts(int layer) implements Part {}

  /// What else is in a layer, and small: its second norm, the router.
  record Rest(int layer) implements Part {}

  /// The norm in front of the head.
  record FinalNorm() implements Part {}

  /// A weight by itself: embedding, head, and what only layers of multi-token prediction have.
  record Single(String name) implements Part {}

  /// The layer that it lies in; empty for what stands by itself.
  static OptionalInt layer(Part part) {
    return switch (part) {
      case Attention(int layer) -> OptionalInt.of(layer);
      case Dense(int layer) -> OptionalInt.of(layer);
      case Shared(int layer) -> OptionalInt.of(layer);
      case Expert(int layer, _) -> OptionalInt.of(layer);
      case Experts(int layer) -> OptionalInt.of(layer);
      case Rest(int layer) -> OptionalInt.of(layer);
      case FinalNorm _, Single _ -> OptionalInt.empty();
    };
  }

  /// Whether its inputs come from the second norm of the layer, which is in the rest.
  static boolean readsSecondNorm(Part part) {
    return switch (part) {
      case Dense _, Shared _, Expert _, Experts _ -> true;
      case Attention _, Rest _, FinalNorm _, Single _ -> false;
    };
  }

  /// An expert's part together with all others of its layer; any other part by itself.
  static Part withItsLayer(Part part) {
    return switch (part) {
      case Shared(int layer) -> new Experts(layer);
      case Expert(int layer, _) -> new Experts(layer);
      case Attention _, Dense _, Experts _, Rest _, FinalNorm _, Single _ -> part;
    };
  }

  /// The rest of the layer for what has one in every layer; experts, and what stands by itself, as
  /// they are.
  static Part withTheRest(Part part) {
    return switch (part) {
      case Attention(int layer) -> new Rest(layer);
      case Dense(int layer) -> new Rest(layer);
      case Shared(int layer) -> new Rest(layer);
      case Expert _, Experts _, Rest _, FinalNorm _, Single _ -> part;
    };
  }

  /// The part that a weight belongs to.
  static Part of(Weight weight) {
    return switch (weight.role()) {
      case TensorRole.Attention(int layer, _) -> new Attention(layer);
      case TensorRole.AttentionBias(int layer, _) -> new Attention(layer);
      case TensorRole.Indexer(int layer, _) -> new Attention(layer);
      case TensorRole.Norm(int layer) ->
          isOfAttention(weight.name()) ? new Attention(layer) : new Rest(layer);
      case TensorRole.DenseMlp(int layer, _) -> new Dense(layer);
      case TensorRole.SharedExpert(int layer, _) -> new Shared(layer);
      case TensorRole.RoutedExpert(int layer, int expert, _) -> new Expert(layer, expert);
      case TensorRole.Router(int layer) -> new Rest(layer);
      case TensorRole.RouterBias(int layer) -> new Rest(layer);
      case TensorRole.FinalNorm _ -> new FinalNorm();
      case TensorRole.Embedding _, TensorRole.Head _, TensorRole.Mtp _, TensorRole.Foreign _ ->
          new Single(weight.name());
    };
  }

  private static boolean isOfAttention(String name) {
    return name.contains(".input_layernorm.") || name.contains(".self_attn.");
  }
}
