package smelt.converter.recipe;

import java.util.Collections;
import java.util.EnumMap;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import smelt.verify.quality.Bounds;
import smelt.verify.quality.Metric;
import smelt.verify.quality.Profile;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// The bounds that a recipe wants its result to hold. They say nothing of what is written: a
/// conversion looks at none of them but `coverage`, `smelt verify --recipe` at all others.
///
/// @param profile what to start from; empty to choose by what the result holds
/// @param values bounds in place of the profile's; an empty one takes the bound away
/// @param coverage fewest tokens that any expert may have seen in the calibration that a target's
///   numbers are chosen from; empty for any number
public record BoundsSpec(
    Optional<Profile> profile, Map<Metric, Optional<Double>> values, OptionalLong coverage) {

  static final String PROFILE = "profile";
  static final String NONE = "none";
  static final String COVERAGE = "coverage";

  /// Bounds on what a verification measures.
  public BoundsSpec(Optional<Profile> profile, Map<Metric, Optional<Double>> values) {
    this(profile, values, OptionalLong.empty());
  }

  public BoundsSpec {
    if (coverage.isPresent() && coverage.getAsLong() < 1) {
      throw new IllegalArgumentException("a coverage of " + coverage.getAsLong() + " tokens");
    }
    EnumMap<Metric, Optional<Double>> copy = new EnumMap<>(Metric.class);
    copy.putAll(values);
    copy.forEach((metric, bound) -> bound.ifPresent(number -> new Bounds(Map.of(metric, number))));
    values = Collections.unmodifiableMap(copy);
  }

  /// The profile's bounds with these in their place.
  public Bounds over(Profile chosen) {
    return over(chosen.bounds());
  }

  /// Some bounds with these in their place.
  public Bounds over(Bounds others) {
    Bounds bounds = others;
    for (Map.Entry<Metric, Optional<Double>> value : values.entrySet()) {
      bounds =
          value.getValue().isPresent()
              ? bounds.with(value.getKey(), value.getValue().get())
              : bounds.without(value.getKey());
    }
    return bounds;
  }

  /// A bound as it is written: a number, or `none` to take it away.
  ///
  /// @throws IllegalArgumentException if it is neither, or the metric can have no such bound
  public static Optional<Double> bound(Metric metric, String text) {
    if (text.equals(NONE)) {
      return Optional.empty();
    }
    return Optional.of(new Bounds(Map.of(metric, Double.valueOf(text))).values().get(metric));
  }

  /// As in a recipe, keys in a fixed order.
  ObjectNode json() {
    ObjectNode json = JsonNodeFactory.instance.objectNode();
    profile.ifPresent(p -> json.put(PROFILE, p.label()));
    coverage.ifPresent(tokens -> json.put(COVERAGE, tokens));
    values.forEach((metric, bound) -> {
      if (bound.isPresent()) {
        json.put(metric.label(), bound.get());
      } else {
        json.put(metric.label(), NONE);
      }
    });
    return json;
  }
}
