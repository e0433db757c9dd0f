package smelt.converter.cli;

import java.io.IOException;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Stream;
import picocli.CommandLine;
import picocli.CommandLine.Option;
import smelt.converter.DidYouMean;
import smelt.converter.recipe.BoundsSpec;
import smelt.converter.recipe.Recipe;
import smelt.converter.recipe.Recipes;
import smelt.converter.recipe.TargetSpec;
import smelt.verify.quality.Bounds;
import smelt.verify.quality.Metric;
import smelt.verify.quality.Profile;

/// `--bounds`, `--bound` and `--recipe`: what a result is to hold. An option goes before the
/// recipe, the recipe before the profile.
final class BoundsOptions {

  private static final String AUTO = "auto";
  private static final List<String> PROFILES =
      Stream.concat(Stream.of(AUTO), Stream.of(Profile.values()).map(Profile::label)).toList();
  private static final List<String> METRICS =
      Stream.of(Metric.values()).map(Metric::label).toList();

  @CommandLine.Spec(CommandLine.Spec.Target.MIXEE)
  private CommandLine.Model.CommandSpec command;

  @Option(
      names = "--bounds",
      paramLabel = "PROFILE",
      defaultValue = AUTO,
      description =
          "lossless, bf16, fp8, int8-weight, w8a8 or int4-experts; auto (the default) chooses by"
              + " what the result holds.")
  private String profile;

  @Option(
      names = "--bound",
      paramLabel = "METRIC=VALUE",
      description =
          "A bound in place of the profile's, such as mean_kl=0.005; VALUE none takes it away."
              + " Metrics: mean_kl, kl_999, same_top, ppl_ratio, weight_sqnr, layer_sqnr,"
              + " routed_mass, bit_exact, non_finite, model_changes.")
  private List<String> overrides = List.of();

  @Option(names = "--recipe", paramLabel = "NAME", description = "Take the bounds of a recipe.")
  private String recipe;

  /// What was asked for.
  ///
  /// @param profile empty to choose by what the result holds
  /// @param bounds the bounds to hold, given the profile
  record Wanted(Optional<Profile> profile, Function<Profile, Bounds> bounds) {

    /// The same, with this profile where the user names none.
    Wanted or(Optional<Profile> usual) {
      return profile.isPresent() ? this : new Wanted(usual, bounds);
    }
  }

  /// Reads the options, and the recipe.
  ///
  /// @param target the target that the result says it is; empty where it does not say
  /// @throws CommandLine.ParameterException if an option is wrong
  Wanted wanted(Optional<String> target) throws IOException {
    BoundsSpec own = new BoundsSpec(ownProfile(), ownBounds());
    Optional<BoundsSpec> ofRecipe =
        recipe == null ? Optional.empty() : spec(Recipes.load(recipe), target).bounds();
    Optional<Profile> chosen = own.profile().or(() -> ofRecipe.flatMap(BoundsSpec::profile));
    return new Wanted(
        chosen,
        inUse -> {
          Bounds bounds = ofRecipe.map(spec -> spec.over(inUse)).orElseGet(inUse::bounds);
          return own.over(bounds);
        });
  }

  private Optional<Profile> ownProfile() {
    if (profile.equals(AUTO)) {
      return Optional.empty();
    }
    Optional<Profile> named = Profile.of(profile);
    if (named.isEmpty()) {
      throw refuse(
          "--bounds '" + profile + "'",
          DidYouMean.remedy(profile, PROFILES, "profiles are " + String.join(", ", PROFILES)));
    }
    return named;
  }

  private Map<Metric, Optional<Double>> ownBounds() {
    Map<Metric, Optional<Double>> bounds = new EnumMap<>(Metric.class);
    for (String override : overrides) {
      int equals = override.indexOf('=');
      String name = equals < 0 ? override : override.substring(0, equals);
      Metric metric =
          Bounds.metric(name)
              .orElseThrow(() ->
                  refuse(
                      "--bound '" + override + "'",
                      DidYouMean.remedy(
                          name, METRICS, "metrics are " + String.join(", ", METRICS))));
      bounds.put(metric, value(override, metric, equals < 0 ? "" : override.substring(equals + 1)));
    }
    return bounds;
  }

  private Optional<Double> value(String override, Metric metric, String text) {
    try {
      return BoundsSpec.bound(metric, text);
    } catch (IllegalArgumentException _) {
      throw refuse(
          "--bound '" + override + "'",
          "write "
              + metric.label()
              + "=VALUE with a possible bound in "
              + metric.unit()
              + ", or none");
    }
  }

  private TargetSpec spec(Recipe from, Optional<String> target) {
    List<TargetSpec> targets = from.targets();
    if (targets.size() == 1) {
      return targets.getFirst();
    }
    List<String> labels = new ArrayList<>();
    for (TargetSpec spec : targets) {
      labels.add(spec.target().label());
      if (target.filter(spec.target().label()::equals).isPresent()) {
        return spec;
      }
    }
    throw refuse(
        "--recipe " + recipe,
        "it makes "
            + String.join(", ", labels)
            + ", and the result is "
            + target.map(label -> label + ", which is none of them").orElse("without a manifest"));
  }

  private CommandLine.ParameterException refuse(String what, String remedy) {
    return new CommandLine.ParameterException(command.commandLine(), what + ": " + remedy);
  }
}
