package smelt.calibrate.model;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Projection;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.TensorRole.AttentionPart;
import smelt.formats.checkpoint.Weight;

/// Finds a checkpoint's weights by what they are for.
final class ModelWeights {

  private final Checkpoint checkpoint;
  private final Map<TensorRole, Weight> byRole = new HashMap<>();
  private final Map<Integer, List<Weight>> vectors = new HashMap<>();

  ModelWeights(Checkpoint checkpoint) {
    this.checkpoint = checkpoint;
    for (Weight weight : checkpoint.weights()) {
      if (!(weight.role() instanceof TensorRole.Norm)) {
        byRole.put(weight.role(), weight);
      }
      if (isVector(weight.role())) {
        vectors
            .computeIfAbsent(weight.role().layer().getAsInt(), _ -> new ArrayList<>())
            .add(weight);
      }
    }
  }

  private static boolean isVector(TensorRole role) {
    return role instanceof TensorRole.Norm
        || role instanceof TensorRole.AttentionBias
        || role instanceof TensorRole.RouterBias;
  }

  Weight embedding() {
    return require(new TensorRole.Embedding());
  }

  Weight finalNorm() {
    return require(new TensorRole.FinalNorm());
  }

  Weight head() {
    return require(new TensorRole.Head());
  }

  Weight attention(int layer, AttentionPart part) {
    return require(new TensorRole.Attention(layer, part));
  }

  /// All linears of a layer's attention.
  List<Weight> attention(int layer) {
    return Arrays.stream(AttentionPart.values())
        .map(part -> byRole.get(new TensorRole.Attention(layer, part)))
        .filter(Objects::nonNull)
        .toList();
  }

  /// The norms and biases of a layer, small vectors that every piece of a batch needs.
  List<Weight> vectors(int layer) {
    return vectors.getOrDefault(layer, List.of());
  }

  Optional<Weight> attentionBias(int layer, AttentionPart part) {
    return Optional.ofNullable(byRole.get(new TensorRole.AttentionBias(layer, part)));
  }

  /// A norm of a layer, by its name in the layer, such as `self_attn.q_a_layernorm`.
  Weight norm(int layer, String name) {
    String full = "model.layers." + layer + "." + name + ".weight";
    return checkpoint.weight(full).orElseThrow(() -> new IllegalStateException("no " + full));
  }

  Weight router(int layer) {
    return require(new TensorRole.Router(layer));
  }

  Weight routerBias(int layer) {
    return require(new TensorRole.RouterBias(layer));
  }

  Gated dense(int layer) {
    return new Gated(
        require(new TensorRole.DenseMlp(layer, Projection.GATE)),
        require(new TensorRole.DenseMlp(layer, Projection.UP)),
        require(new TensorRole.DenseMlp(layer, Projection.DOWN)));
  }

  Gated expert(int layer, int expert) {
    return new Gated(
        require(new TensorRole.RoutedExpert(layer, expert, Projection.GATE)),
        require(new TensorRole.RoutedExpert(layer, expert, Projection.UP)),
        require(new TensorRole.RoutedExpert(layer, expert, Projection.DOWN)));
  }

  Gated sharedExpert(int layer) {
    return new Gated(
        require(new TensorRole.SharedExpert(layer, Projection.GATE)),
        require(new TensorRole.SharedExpert(layer, Projection.UP)),
        require(new TensorRole.SharedExpert(layer, Projection.DOWN)));
  }

  /// Bytes of scratch that the largest part of any layer takes when it is held, with the layer's
  /// vectors.
  long largestPart(ModelSpec spec) {
    long largest = 0;
    for (int layer = 0; layer < spec.layerCount(); layer++) {
      long feedForward =
          switch (spec.layers().get(layer)) {
            case FeedForward.Dense _ -> heldBytes(dense(layer).all());
            case FeedForward.Experts experts -> largestPart(layer, experts);
          };
      long part = Math.max(heldBytes(attention(layer)), feedForward);
      largest = Math.max(largest, part + heldBytes(vectors(layer)));
    }
    return largest;
  }

  /// The same of a half with experts, without vectors: router and shared expert, or one expert.
  long largestPart(int layer, FeedForward.Experts experts) {
    long common = heldBytes(List.of(router(layer))) + heldBytes(shared(layer, experts));
    for (int expert = 0; expert < experts.rule().experts(); expert++) {
      common = Math.max(common, heldBytes(expert(layer, expert).all()));
    }
    return common;
  }

  private static long heldBytes(List<Weight> part) {
    return part.stream().mapToLong(WeightStream::heldBytes).sum();
  }

  /// The linears of the shared expert; none where there is none.
  List<Weight> shared(int layer, FeedForward.Experts experts) {
    return experts.sharedWidth() == 0 ? List.of() : sharedExpert(layer).all();
  }

  /// A checkpoint that opened has every weight of its architecture, so a missing one is an error of
  /// ours.
  private Weight require(TensorRole role) {
    Weight weight = byRole.get(role);
    if (weight == null) {
      throw new IllegalStateException("no weight for " + role);
    }
    return weight;
  }

  /// The three weights of a gated linear unit.
  record Gated(Weight gate, Weight up, Weight down) {
    List<Weight> all() {
      return List.of(gate, up, down);
    }
  }
}
