package smelt.calibrate.sensitivity;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Projection;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;

/// Linears of one layer that get one scheme.
///
/// | part | linears |
/// |---|---|
/// | `attention` | all of attention, but `kv_b` |
/// | `kv_b` | that, which runtimes take apart |
/// | `dense.in`, `shared.in`, `experts.in` | gate and up, which runtimes fuse; of all experts |
/// | `dense.out`, `shared.out`, `experts.out` | down; of all experts |
/// | `head` | the head, of no layer |
///
/// @param layer number of layers for the head
/// @param weights at least one, in the order of the checkpoint
public record ModelPart(String name, int layer, List<Weight> weights) {
  public ModelPart {
    weights = List.copyOf(weights);
    if (weights.isEmpty()) {
      throw new IllegalArgumentException(name + " without weights");
    }
  }

  /// The parts of a model that are quantized at all, by layer. Embedding, norms, routers and biases
  /// are in none, nor are layers of multi-token prediction, which no forward pass reads.
  ///
  /// @param layers number of layers that are run
  public static List<ModelPart> of(Checkpoint checkpoint, int layers) {
    Map<String, List<Weight>> parts = new LinkedHashMap<>();
    for (Weight weight : checkpoint.weights()) {
      int layer = weight.role().layer().orElse(layers);
      Optional<String> label = label(weight.role());
      if (label.isPresent() && (layer < layers || label.get().equals("head"))) {
        String name = layer == layers ? "head" : "layer " + layer + " " + label.get();
        parts.computeIfAbsent(name, _ -> new ArrayList<>()).add(weight);
      }
    }
    return parts.entrySet().stream()
        .map(entry -> {
          int layer = entry.getValue().getFirst().role().layer().orElse(layers);
          return new ModelPart(entry.getKey(), layer, entry.getValue());
        })
        .sorted(java.util.Comparator.comparingInt(ModelPart::layer))
        .toList();
  }

  private static Optional<String> label(TensorRole role) {
    return switch (role) {
      case TensorRole.Attention(_, var part) ->
          Optional.of(part == TensorRole.AttentionPart.KV_B ? "kv_b" : "attention");
      case TensorRole.DenseMlp mlp -> Optional.of("dense" + end(mlp.projection()));
      case TensorRole.SharedExpert expert -> Optional.of("shared" + end(expert.projection()));
      case TensorRole.RoutedExpert expert -> Optional.of("experts" + end(expert.projection()));
      case TensorRole.Head _ -> Optional.of("head");
      case TensorRole.Embedding _,
          TensorRole.FinalNorm _,
          TensorRole.Norm _,
          TensorRole.AttentionBias _,
          TensorRole.Indexer _,
          TensorRole.Router _,
          TensorRole.RouterBias _,
          TensorRole.Mtp _,
          TensorRole.Foreign _ ->
          Optional.empty();
    };
  }

  private static String end(Projection projection) {
    return projection == Projection.DOWN ? ".out" : ".in";
  }
}
