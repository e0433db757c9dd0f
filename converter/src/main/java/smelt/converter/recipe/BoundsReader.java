package smelt.converter.recipe;

import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.Stream;
import smelt.converter.DidYouMean;
import smelt.verify.quality.Metric;
import smelt.verify.quality.Profile;

/// Reads `bounds:` of a recipe: a profile's name, or a map of `profile`, metrics and `coverage`.
///
///     bounds: {profile: w8a8, mean_kl: 0.005, routed_mass: none, coverage: 32}
final class BoundsReader {

  private static final List<String> PROFILES =
      Stream.of(Profile.values()).map(Profile::label).toList();

  private final Mistakes mistakes;

  BoundsReader(Mistakes mistakes) {
    this.mistakes = mistakes;
  }

  /// The bounds under the key `bounds`; empty where there are none, or only mistakes.
  Optional<BoundsSpec> read(Fields fields) {
    return switch (fields.node("bounds").orElse(null)) {
      case null -> Optional.empty();
      case YamlNode.Scalar name -> profile(name).map(p -> new BoundsSpec(Optional.of(p), Map.of()));
      case YamlNode.Mapping map -> Optional.of(spec(fields.inner(map, keys())));
      case YamlNode other -> {
        mistakes.add(
            other.line(),
            "bounds: " + other.kind(),
            "a profile, or a map of profile and metrics",
            "write for example 'bounds: {profile: w8a8, mean_kl: 0.005}'");
        yield Optional.empty();
      }
    };
  }

  private static List<String> keys() {
    List<String> keys = new ArrayList<>(List.of(BoundsSpec.PROFILE));
    Stream.of(Metric.values()).map(Metric::label).forEach(keys::add);
    keys.add(BoundsSpec.COVERAGE);
    return keys;
  }

  private BoundsSpec spec(Fields fields) {
    Map<Metric, Optional<Double>> values = new EnumMap<>(Metric.class);
    for (Metric metric : Metric.values()) {
      fields
          .scalar(metric.label(), "a number, or none")
          .flatMap(scalar -> bound(metric, scalar))
          .ifPresent(bound -> values.put(metric, bound));
    }
    return new BoundsSpec(
        fields.scalar(BoundsSpec.PROFILE, "a profile").flatMap(this::profile),
        values,
        coverage(fields));
  }

  private OptionalLong coverage(Fields fields) {
    Optional<YamlNode.Scalar> scalar =
        fields.scalar(BoundsSpec.COVERAGE, "a number of tokens, at least 1");
    if (scalar.isEmpty()) {
      return OptionalLong.empty();
    }
    if (scalar.get().text().matches("[1-9]\\d{0,17}")) {
      return OptionalLong.of(Long.parseLong(scalar.get().text()));
    }
    mistakes.add(
        scalar.get().line(),
        "coverage: " + scalar.get().kind(),
        "a number of tokens, at least 1",
        "write the fewest tokens that an expert may see, for example 'coverage: 32'");
    return OptionalLong.empty();
  }

  private Optional<Profile> profile(YamlNode.Scalar name) {
    Optional<Profile> profile = Profile.of(name.text());
    if (profile.isEmpty()) {
      mistakes.add(
          name.line(),
          "unknown profile " + name.kind(),
          "one of " + String.join(", ", PROFILES),
          DidYouMean.remedy(name.text(), PROFILES, "write one of them"));
    }
    return profile;
  }

  private Optional<Optional<Double>> bound(Metric metric, YamlNode.Scalar scalar) {
    try {
      return Optional.of(BoundsSpec.bound(metric, scalar.text()));
    } catch (IllegalArgumentException _) {
      mistakes.add(
          scalar.line(),
          metric.label() + ": " + scalar.kind(),
          "a possible bound in " + metric.unit() + ", or none",
          "see 'smelt verify --help' for the metrics");
      return Optional.empty();
    }
  }
}
