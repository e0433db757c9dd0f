package smelt.verify.quality;

import java.util.List;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;

/// Gates on the worst layer, from a sample of tokens: see [Decision].
///
/// The lowest of all layers' limits is a limit of the lowest layer: for it to lie too high, that of
/// the truly lowest layer has to, and this one alone goes wrong in at most 5 % (or whatever the
/// level is). So it needs no stricter level for having many layers, however they depend on each
/// other.
final class LayerGates {

  private static final String NO_INFERENCE = "no inference was made";
  private static final double MOST_TOKENS = 1e15;

  private final List<LayerScore> layers;
  private final Decision decision;

  /// @param layers with limits at the look's level
  LayerGates(List<LayerScore> layers, Decision decision) {
    this.layers = layers;
    this.decision = decision;
  }

  Gate layerSqnr(double bound) {
    if (layers.isEmpty()) {
      return ExactGates.skipped(Metric.LAYER_SQNR, bound, NO_INFERENCE);
    }
    List<LayerScore> worst = worstLayers(layers, ExactGates.NAMED);
    double value = worst.isEmpty() ? Double.POSITIVE_INFINITY : worst.getFirst().localDb();
    OptionalDouble limit = least(layers, LayerScore::localLimitDb);
    String detail =
        ExactGates.named(worst, layer -> "layer " + layer.layer(), LayerScore::localDb)
            + lowestLimit(layers, worst, LayerScore::localLimitDb, limit);
    OptionalLong needed = needed(share(value), share(bound), share(limit));
    return decision.gate(Metric.LAYER_SQNR, bound, value, limit, needed, detail);
  }

  Gate routedMass(double bound) {
    if (layers.isEmpty()) {
      return ExactGates.skipped(Metric.ROUTED_MASS, bound, NO_INFERENCE);
    }
    List<LayerScore> routed = layers.stream().filter(layer -> layer.router().isPresent()).toList();
    if (routed.isEmpty()) {
      return ExactGates.exact(Metric.ROUTED_MASS, bound, 1, "no layer has routed experts");
    }
    List<LayerScore> worst = ExactGates.lowest(routed, LayerGates::mass, 1);
    double value = mass(worst.getFirst());
    OptionalDouble limit = least(routed, LayerGates::massLimit);
    String detail =
        "least in layer "
            + worst.getFirst().layer()
            + lowestLimit(routed, worst, LayerGates::massLimit, limit);
    OptionalLong needed = needed(1 - value, 1 - bound, 1 - limit.orElse(Double.NaN));
    return decision.gate(Metric.ROUTED_MASS, bound, value, limit, needed, detail);
  }

  /// The lowest local SQNR first; those that do not differ are left out.
  static List<LayerScore> worstLayers(List<LayerScore> layers, int most) {
    List<LayerScore> differing =
        layers.stream().filter(layer -> layer.localDb() != Double.POSITIVE_INFINITY).toList();
    return ExactGates.lowest(differing, LayerScore::localDb, most);
  }

  /// Empty where one layer has no limit.
  private static OptionalDouble least(
      List<LayerScore> layers, Function<LayerScore, OptionalDouble> limit) {
    return layers.stream().map(limit).anyMatch(OptionalDouble::isEmpty)
        ? OptionalDouble.empty()
        : layers.stream().mapToDouble(layer -> limit.apply(layer).getAsDouble()).min();
  }

  /// Names the layer with the lowest limit where it is not the worst one.
  private static String lowestLimit(
      List<LayerScore> layers,
      List<LayerScore> worst,
      Function<LayerScore, OptionalDouble> limit,
      OptionalDouble least) {
    if (least.isEmpty() || worst.isEmpty()) {
      return "";
    }
    ToDoubleFunction<LayerScore> figure = layer -> limit.apply(layer).getAsDouble();
    int lowest = ExactGates.lowest(layers, figure, 1).getFirst().layer();
    return lowest == worst.getFirst().layer() ? "" : "; the lowest limit is layer " + lowest + "'s";
  }

  /// Tokens after which the limit is likely to hold: what lies between value and limit shrinks with
  /// the root of their number, and has to fit twice between value and bound.
  private OptionalLong needed(double value, double bound, double limit) {
    if (Double.isNaN(limit)) {
      return OptionalLong.of(decision.tokens());
    }
    double ratio = 2 * (limit - value) / (bound - value);
    double tokens = decision.tokens() * ratio * ratio;
    return bound > value && tokens < MOST_TOKENS
        ? OptionalLong.of((long) Math.ceil(tokens))
        : OptionalLong.empty();
  }

  private static double share(OptionalDouble db) {
    return share(db.orElse(Double.NaN));
  }

  /// Noise by signal.
  private static double share(double db) {
    return StrictMath.pow(10, -db / 10);
  }

  private static double mass(LayerScore layer) {
    return layer.router().orElseThrow().massOverlap();
  }

  private static OptionalDouble massLimit(LayerScore layer) {
    return layer.router().orElseThrow().massLimit();
  }
}
