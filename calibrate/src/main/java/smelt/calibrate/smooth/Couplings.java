package smelt.calibrate.smooth;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import smelt.calibrate.model.Attention;
import smelt.calibrate.model.ModelSpec;
import smelt.calibrate.smooth.Coupling.Producer;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Projection;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.TensorRole.AttentionPart;
import smelt.formats.checkpoint.Weight;

/// Finds the pairs of a model. What reads a pair's channels is found by asking every weight of the
/// model what it reads, so no reader is forgotten: what a target keeps, the router and the indexer
/// are among them.
///
/// Layers of multi-token prediction have no pairs: the reference model does not run them, so
/// nothing is measured there.
public final class Couplings {

  private final Checkpoint checkpoint;
  private final ModelSpec spec;
  private final Map<Pair, List<Weight>> readers = new LinkedHashMap<>();
  private final Map<TensorRole, Weight> byRole = new LinkedHashMap<>();

  private Couplings(Checkpoint checkpoint) {
    this.checkpoint = checkpoint;
    spec = ModelSpec.of(checkpoint);
    for (Weight weight : checkpoint.weights()) {
      reads(weight.role())
          .ifPresent(pair -> readers.computeIfAbsent(pair, _ -> new ArrayList<>()).add(weight));
      byRole.putIfAbsent(weight.role(), weight);
    }
  }

  /// @throws UnsupportedException for a variant that the reference model does not compute
  public static Couplings of(Checkpoint checkpoint) {
    return new Couplings(checkpoint);
  }

  /// All pairs of some kinds, in the order of the model's weights.
  public List<Coupling> all(Set<Pair.Kind> kinds) {
    return readers.keySet().stream()
        .filter(pair -> kinds.contains(pair.kind()) && pair.layer() < spec.layerCount())
        .filter(this::exists)
        .map(this::of)
        .toList();
  }

  /// What belongs to a pair.
  ///
  /// @throws UnsupportedException if the model has no such pair
  public Coupling of(Pair pair) {
    if (pair.layer() >= spec.layerCount()) {
      throw new UnsupportedException(
          pair.title() + ", which is for multi-token prediction,",
          "pairs of layers 0 to " + (spec.layerCount() - 1) + " are");
    }
    if (!exists(pair)) {
      throw new UnsupportedException(
          pair.title() + " in a " + checkpoint.architecture().className(),
          "it has no such neighbours; leave this pair out");
    }
    List<Weight> consumers = readers.get(pair);
    ChannelMap columns = columns(pair);
    int inputs = Math.toIntExact(consumers.getFirst().shape().dim(1));
    return new Coupling(pair, columns.channels(inputs), producers(pair), consumers, columns);
  }

  private boolean exists(Pair pair) {
    return readers.containsKey(pair);
  }

  /// Through which pair a weight gets its input.
  private static Optional<Pair> reads(TensorRole role) {
    Pair pair =
        switch (role) {
          case TensorRole.Attention(int layer, AttentionPart part) ->
              switch (part) {
                case Q, K, V, Q_A, KV_A -> new Pair.InputNorm(layer);
                case Q_B -> new Pair.QueryNorm(layer);
                case KV_B -> new Pair.LatentNorm(layer);
                case O -> new Pair.ValueOutput(layer);
              };
          case TensorRole.Indexer(int layer, TensorRole.IndexerPart part) ->
              switch (part) {
                case WK, WEIGHTS_PROJ -> new Pair.InputNorm(layer);
                case WQ_B -> new Pair.QueryNorm(layer);
                case K_NORM, K_NORM_BIAS -> null;
              };
          case TensorRole.Router(int layer) -> new Pair.FeedForwardNorm(layer);
          case TensorRole.DenseMlp(int layer, Projection part) ->
              isDown(part) ? new Pair.DenseUpDown(layer) : new Pair.FeedForwardNorm(layer);
          case TensorRole.SharedExpert(int layer, Projection part) ->
              isDown(part) ? new Pair.SharedUpDown(layer) : new Pair.FeedForwardNorm(layer);
          case TensorRole.RoutedExpert(int layer, int expert, Projection part) ->
              isDown(part) ? new Pair.ExpertUpDown(layer, expert) : new Pair.FeedForwardNorm(layer);
          case TensorRole.Embedding _,
              TensorRole.Head _,
              TensorRole.FinalNorm _,
              TensorRole.Norm _,
              TensorRole.AttentionBias _,
              TensorRole.RouterBias _,
              TensorRole.Mtp _,
              TensorRole.Foreign _ ->
              null;
        };
    return Optional.ofNullable(pair);
  }

  private static boolean isDown(Projection part) {
    return switch (part) {
      case GATE, UP -> false;
      case DOWN -> true;
    };
  }

  private ChannelMap columns(Pair pair) {
    if (pair instanceof Pair.ValueOutput && spec.attention() instanceof Attention.Grouped g) {
      return new ChannelMap(g.headSize(), 0, g.heads() / g.keyValueHeads());
    }
    return ChannelMap.EACH;
  }

  private List<Producer> producers(Pair pair) {
    int layer = pair.layer();
    return switch (pair) {
      case Pair.InputNorm _ -> norm(layer, "input_layernorm");
      case Pair.QueryNorm _ -> norm(layer, "self_attn.q_a_layernorm");
      case Pair.LatentNorm _ -> norm(layer, "self_attn.kv_a_layernorm");
      case Pair.FeedForwardNorm _ -> norm(layer, "post_attention_layernorm");
      case Pair.ValueOutput _ -> values(layer);
      case Pair.DenseUpDown _ -> rows(new TensorRole.DenseMlp(layer, Projection.UP));
      case Pair.SharedUpDown _ -> rows(new TensorRole.SharedExpert(layer, Projection.UP));
      case Pair.ExpertUpDown p ->
          rows(new TensorRole.RoutedExpert(layer, p.expert(), Projection.UP));
    };
  }

  private List<Producer> values(int layer) {
    return switch (spec.attention()) {
      case Attention.Mla mla ->
          values(
              layer,
              AttentionPart.KV_B,
              new ChannelMap(mla.plainSize() + mla.valueSize(), mla.plainSize(), 1));
      case Attention.Grouped _ -> values(layer, AttentionPart.V, ChannelMap.EACH);
    };
  }

  /// A linear and its bias, if it has one.
  private List<Producer> values(int layer, AttentionPart part, ChannelMap map) {
    List<Producer> producers = new ArrayList<>();
    producers.add(new Producer(byRole.get(new TensorRole.Attention(layer, part)), map));
    Optional.ofNullable(byRole.get(new TensorRole.AttentionBias(layer, part)))
        .ifPresent(bias -> producers.add(new Producer(bias, map)));
    return producers;
  }

  private List<Producer> rows(TensorRole role) {
    return List.of(new Producer(byRole.get(role), ChannelMap.EACH));
  }

  private List<Producer> norm(int layer, String name) {
    String full = "model.layers." + layer + "." + name + ".weight";
    Weight norm =
        checkpoint.weight(full).orElseThrow(() -> new IllegalStateException("no " + full));
    return List.of(new Producer(norm, ChannelMap.EACH));
  }
}
