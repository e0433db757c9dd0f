package smelt.verify.quality;

import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.OptionalDouble;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;
import smelt.verify.quality.Gate.Outcome;

/// Gates on what is measured whole: every written weight, and every layer.
final class ExactGates {

  private static final int NAMED = 3;
  private static final String NO_INFERENCE = "no inference was made";
  private static final String NO_TENSORS = "no weight was compared";

  private final List<LayerScore> layers;
  private final List<TensorScore> tensors;

  ExactGates(List<LayerScore> layers, List<TensorScore> tensors) {
    this.layers = layers;
    this.tensors = tensors;
  }

  /// Over all weights: one that is kept as it was has an infinite SQNR unless it was damaged.
  Gate weightSqnr(double bound) {
    if (tensors.isEmpty()) {
      return skipped(Metric.WEIGHT_SQNR, bound, NO_TENSORS);
    }
    List<TensorScore> worst = worstTensors(tensors, NAMED);
    double value = worst.isEmpty() ? Double.POSITIVE_INFINITY : sqnr(worst.getFirst());
    String detail = named(worst, TensorScore::tensor, ExactGates::sqnr);
    return exact(Metric.WEIGHT_SQNR, bound, value, detail);
  }

  Gate layerSqnr(double bound) {
    if (layers.isEmpty()) {
      return skipped(Metric.LAYER_SQNR, bound, NO_INFERENCE);
    }
    List<LayerScore> worst = worstLayers(layers, NAMED);
    double value = worst.isEmpty() ? Double.POSITIVE_INFINITY : worst.getFirst().localDb();
    String detail = named(worst, layer -> "layer " + layer.layer(), LayerScore::localDb);
    return exact(Metric.LAYER_SQNR, bound, value, detail);
  }

  Gate routedMass(double bound) {
    if (layers.isEmpty()) {
      return skipped(Metric.ROUTED_MASS, bound, NO_INFERENCE);
    }
    List<LayerScore> routed = layers.stream().filter(layer -> layer.router().isPresent()).toList();
    if (routed.isEmpty()) {
      return exact(Metric.ROUTED_MASS, bound, 1, "no layer has routed experts");
    }
    LayerScore worst = lowest(routed, ExactGates::mass, 1).getFirst();
    return exact(Metric.ROUTED_MASS, bound, mass(worst), "least in layer " + worst.layer());
  }

  Gate bitExact(double bound) {
    if (tensors.isEmpty()) {
      return skipped(Metric.BIT_EXACT, bound, NO_TENSORS);
    }
    List<TensorScore> changed = tensors.stream().filter(tensor -> !tensor.bitExact()).toList();
    double value = (double) (tensors.size() - changed.size()) / tensors.size();
    return exact(Metric.BIT_EXACT, bound, value, of(changed, "differ"));
  }

  Gate nonFinite(double bound) {
    if (tensors.isEmpty()) {
      return skipped(Metric.NON_FINITE, bound, NO_TENSORS);
    }
    List<TensorScore> broken = tensors.stream().filter(tensor -> tensor.nonFinite() > 0).toList();
    long count = broken.stream().mapToLong(TensorScore::nonFinite).reduce(0, Math::addExact);
    return exact(
        Metric.NON_FINITE, bound, (double) count, of(broken, "have NaN or infinite values"));
  }

  /// The lowest SQNR first; those that do not differ are left out. What is not finite is worst.
  static List<TensorScore> worstTensors(List<TensorScore> tensors, int most) {
    List<TensorScore> differing =
        tensors.stream().filter(tensor -> sqnr(tensor) != Double.POSITIVE_INFINITY).toList();
    return lowest(differing, ExactGates::sqnr, most);
  }

  /// The lowest local SQNR first; those that do not differ are left out.
  static List<LayerScore> worstLayers(List<LayerScore> layers, int most) {
    List<LayerScore> differing =
        layers.stream().filter(layer -> layer.localDb() != Double.POSITIVE_INFINITY).toList();
    return lowest(differing, LayerScore::localDb, most);
  }

  private static <T> List<T> lowest(List<T> scores, ToDoubleFunction<T> figure, int most) {
    // NaN is worse than every number, where Double.compare has it as the largest.
    Comparator<T> nanFirst =
        Comparator.comparing((T score) -> !Double.isNaN(figure.applyAsDouble(score)));
    return scores.stream().sorted(nanFirst.thenComparingDouble(figure)).limit(most).toList();
  }

  private static double sqnr(TensorScore tensor) {
    return tensor.nonFinite() > 0 ? Double.NaN : tensor.sqnrDb();
  }

  private static double mass(LayerScore layer) {
    return layer.router().orElseThrow().massOverlap();
  }

  private static <T> String named(
      List<T> worst, java.util.function.Function<T, String> name, ToDoubleFunction<T> figure) {
    return worst.isEmpty()
        ? "nothing differs"
        : worst.stream()
            .map(score ->
                String.format(
                    Locale.ROOT, "%s %.1f dB", name.apply(score), figure.applyAsDouble(score)))
            .collect(Collectors.joining(", ", "worst: ", ""));
  }

  private String of(List<TensorScore> some, String what) {
    String count =
        Figures.count(some.size()) + " of " + Figures.count(tensors.size()) + " weights " + what;
    return some.isEmpty()
        ? count
        : some.stream()
            .limit(NAMED)
            .map(TensorScore::tensor)
            .collect(Collectors.joining(", ", count + ", first: ", ""));
  }

  private static Gate exact(Metric metric, double bound, double value, String detail) {
    Outcome outcome = TokenGates.holds(metric, value, bound) ? Outcome.PASS : Outcome.FAIL;
    return new Gate(metric, bound, value, OptionalDouble.empty(), outcome, detail);
  }

  static Gate skipped(Metric metric, double bound, String why) {
    return new Gate(metric, bound, Double.NaN, OptionalDouble.empty(), Outcome.SKIPPED, why);
  }
}
