package smelt.verify.quality;

import java.util.List;
import java.util.Optional;

/// What a verdict rests on.
///
/// @param tokens empty when no inference was made
/// @param layers in order; empty when no inference was made
/// @param tensors every weight that is in both models
/// @param changes what differs beside the weights' values
/// @param look which look at the text this is; the layers' limits are at its level
public record Evidence(
    Optional<TokenScores> tokens,
    List<LayerScore> layers,
    List<TensorScore> tensors,
    ModelChanges changes,
    Look look) {

  public Evidence {
    layers = List.copyOf(layers);
    tensors = List.copyOf(tensors);
  }

  /// From the only look, at all the text.
  public Evidence(
      Optional<TokenScores> tokens,
      List<LayerScore> layers,
      List<TensorScore> tensors,
      ModelChanges changes) {
    this(tokens, layers, tensors, changes, Look.ONLY);
  }
}
