package smelt.calibrate.sensitivity;

import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;

/// A model of which some weights are rounded.
///
/// @param first the first layer with such a weight; number of layers for the head
/// @param last the last such layer
/// @param rounding what weights go through; empty: they stay as they are
record Probe(int first, int last, Function<Weight, Optional<Encoding>> rounding) {

  /// One part alone.
  static Probe of(ModelPart part, Scheme scheme) {
    java.util.Set<Weight> own = java.util.Set.copyOf(part.weights());
    return new Probe(
        part.layer(),
        part.layer(),
        weight -> own.contains(weight) ? scheme.rounding().apply(weight) : Optional.empty());
  }

  /// Each part in a scheme of its own.
  static Probe of(Map<ModelPart, Scheme> schemes, int layers) {
    java.util.Map<Weight, Scheme> byWeight = new java.util.HashMap<>();
    schemes.forEach((part, scheme) -> part.weights().forEach(w -> byWeight.put(w, scheme)));
    return new Probe(
        0,
        layers,
        weight ->
            Optional.ofNullable(byWeight.get(weight)).flatMap(s -> s.rounding().apply(weight)));
  }

  boolean isAt(int layer) {
    return first <= layer && layer <= last;
  }
}
