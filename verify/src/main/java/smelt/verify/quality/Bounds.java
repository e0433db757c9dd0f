package smelt.verify.quality;

import java.util.Arrays;
import java.util.Collections;
import java.util.EnumMap;
import java.util.Map;
import java.util.Optional;

/// What must hold, in each metric's unit. A metric without a bound is measured and not judged.
public record Bounds(Map<Metric, Double> values) {

  public Bounds {
    EnumMap<Metric, Double> copy = new EnumMap<>(Metric.class);
    copy.putAll(values);
    copy.forEach(Bounds::check);
    values = Collections.unmodifiableMap(copy);
  }

  /// The metric of a name in a recipe, as [Metric#label] writes it.
  public static Optional<Metric> metric(String label) {
    return Arrays.stream(Metric.values()).filter(m -> m.label().equals(label)).findFirst();
  }

  /// The same bounds but for one.
  ///
  /// @throws IllegalArgumentException if the metric can have no such bound
  public Bounds with(Metric metric, double bound) {
    EnumMap<Metric, Double> changed = new EnumMap<>(Metric.class);
    changed.putAll(values);
    changed.put(metric, bound);
    return new Bounds(changed);
  }

  /// The same bounds without one.
  public Bounds without(Metric metric) {
    EnumMap<Metric, Double> fewer = new EnumMap<>(Metric.class);
    fewer.putAll(values);
    fewer.remove(metric);
    return new Bounds(fewer);
  }

  /// The bounds that need no inference.
  public Bounds onlyWeights() {
    EnumMap<Metric, Double> fewer = new EnumMap<>(Metric.class);
    fewer.putAll(values);
    fewer.keySet().removeIf(Metric::isSampled);
    return new Bounds(fewer);
  }

  private static void check(Metric metric, double bound) {
    boolean possible =
        switch (metric) {
          case MEAN_KL, KL_999, NON_FINITE, MODEL_CHANGES -> bound >= 0;
          case PPL_RATIO -> bound > 0;
          case SAME_TOP, ROUTED_MASS, BIT_EXACT -> bound >= 0 && bound <= 1;
          case WEIGHT_SQNR, LAYER_SQNR -> !Double.isNaN(bound);
        };
    if (!possible) {
      throw new IllegalArgumentException(metric.label() + " can have no bound of " + bound);
    }
  }
}
