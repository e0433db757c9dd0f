package smelt.formats.checkpoint;

import java.util.Collection;
import java.util.Collections;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import smelt.formats.ElementType;

/// What a checkpoint holds, counted. Every stored tensor is counted once in each of the views.
///
/// @param byRole by [TensorRole#label], in the order of first occurrence; [#LEFTOVER] for what is
///   no weight. A weight's scales count as tensors and bytes of its role, not as parameters.
/// @param byType by element type as stored: codes and scales each under their own; here
///   "parameters" are elements
/// @param byKind by the kind of layer
/// @param byLayer by layer number; what stands outside the layers is not among them
public record Inventory(
    Total all,
    Map<String, Total> byRole,
    Map<ElementType, Total> byType,
    Map<LayerKind, Total> byKind,
    Map<Integer, Total> byLayer) {

  /// The label of stored tensors that are neither weights nor scales.
  public static final String LEFTOVER = "leftover";

  private static final String ROUTED = "routed_expert";

  /// Where a tensor stands.
  public enum LayerKind {
    /// Embedding, final norm, head.
    OUTSIDE,
    /// A layer with one feed-forward block.
    DENSE,
    /// A layer with routed experts.
    EXPERTS,
    /// A layer of multi-token prediction.
    MTP
  }

  /// A sum over stored tensors.
  ///
  /// @param tensors stored tensors, scales included
  /// @param parameters elements of the weights, scales not included
  /// @param bytes of codes and scales
  public record Total(long tensors, long parameters, long bytes) {
    static final Total NONE = new Total(0, 0, 0);

    Total plus(Total other) {
      return new Total(
          tensors + other.tensors,
          Math.addExact(parameters, other.parameters),
          Math.addExact(bytes, other.bytes));
    }

    Total minus(Total other) {
      return new Total(tensors - other.tensors, parameters - other.parameters, bytes - other.bytes);
    }
  }

  public Inventory {
    byRole = Collections.unmodifiableMap(new LinkedHashMap<>(byRole));
    byType = Collections.unmodifiableMap(new TreeMap<>(byType));
    byKind = Collections.unmodifiableMap(new TreeMap<>(byKind));
    byLayer = Collections.unmodifiableMap(new TreeMap<>(byLayer));
  }

  /// Counts a checkpoint.
  public static Inventory of(Checkpoint checkpoint) {
    Map<String, Total> byRole = new LinkedHashMap<>();
    Map<ElementType, Total> byType = new EnumMap<>(ElementType.class);
    Map<LayerKind, Total> byKind = new EnumMap<>(LayerKind.class);
    Map<Integer, Total> byLayer = new TreeMap<>();
    int mtpFrom = checkpoint.config().numHiddenLayers();
    Set<Integer> withExperts = layersWithExperts(checkpoint.weights());
    for (Weight weight : checkpoint.weights()) {
      Total total = total(weight);
      byRole.merge(weight.role().label(), total, Total::plus);
      byKind.merge(kind(weight.role(), mtpFrom, withExperts), total, Total::plus);
      weight.role().layer().ifPresent(layer -> byLayer.merge(layer, total, Total::plus));
      addStored(byType, weight.codes());
      weight.scale().ifPresent(scale -> addStored(byType, scale));
    }
    for (Leftover leftover : checkpoint.leftovers()) {
      Total total = new Total(1, 0, leftover.tensor().bytes());
      byRole.merge(LEFTOVER, total, Total::plus);
      byKind.merge(LayerKind.OUTSIDE, total, Total::plus);
      addStored(byType, leftover.tensor());
    }
    Total all = byRole.values().stream().reduce(Total.NONE, Total::plus);
    return new Inventory(all, byRole, byType, byKind, byLayer);
  }

  /// The routed experts of all layers.
  public Total routedExperts() {
    return byRole.getOrDefault(ROUTED, Total.NONE);
  }

  /// All that is not a routed expert.
  public Total everythingElse() {
    return all.minus(routedExperts());
  }

  private static Set<Integer> layersWithExperts(Collection<Weight> weights) {
    Set<Integer> layers = new HashSet<>();
    for (Weight weight : weights) {
      if (weight.role() instanceof TensorRole.Router router) {
        layers.add(router.layerIndex());
      }
    }
    return layers;
  }

  private static LayerKind kind(TensorRole role, int mtpFrom, Set<Integer> withExperts) {
    if (role.layer().isEmpty()) {
      return LayerKind.OUTSIDE;
    }
    int layer = role.layer().getAsInt();
    if (layer >= mtpFrom) {
      return LayerKind.MTP;
    }
    return withExperts.contains(layer) ? LayerKind.EXPERTS : LayerKind.DENSE;
  }

  private static Total total(Weight weight) {
    int tensors = weight.scale().isPresent() ? 2 : 1;
    return new Total(tensors, weight.shape().elements(), weight.bytes());
  }

  private static void addStored(Map<ElementType, Total> byType, SourceTensor tensor) {
    Total one = new Total(1, tensor.shape().elements(), tensor.bytes());
    byType.merge(tensor.type(), one, Total::plus);
  }
}
