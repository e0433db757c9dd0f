package smelt.converter.plan;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.stream.Collectors;
import smelt.calibrate.smooth.Pair;
import smelt.converter.recipe.MtpPolicy;
import smelt.converter.recipe.Recipe;
import smelt.converter.recipe.RecipeException;
import smelt.converter.recipe.TargetSpec;
import smelt.converter.target.Target;
import smelt.formats.Problem;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Leftover;
import smelt.formats.checkpoint.Weight;
import smelt.formats.experts.PackedExperts;
import smelt.formats.source.ModelSource;

/// Makes the plan of a conversion from headers, config and recipe. Reads no weight.
public final class Planner {

  private final ModelSource source;
  private final Checkpoint checkpoint;
  private final Recipe recipe;
  private final SourceSummary summary;
  private final Optional<String> calibration;

  private Planner(
      ModelSource source,
      Checkpoint checkpoint,
      Recipe recipe,
      SourceSummary summary,
      Optional<String> calibration) {
    this.calibration = calibration;
    this.summary = summary;
    this.source = source;
    this.checkpoint = checkpoint;
    this.recipe = recipe;
  }

  /// The plan.
  ///
  /// @throws RecipeException if the recipe asks for what the targets' loaders would refuse
  public static Plan plan(ModelSource source, Checkpoint checkpoint, Recipe recipe)
      throws IOException {
    return plan(source, checkpoint, recipe, Optional.empty());
  }

  /// The plan of a conversion whose recipe may need a calibration.
  ///
  /// @param calibration the calibration's digest, as a recipe needs it that has numbers chosen from
  ///   one
  public static Plan plan(
      ModelSource source, Checkpoint checkpoint, Recipe recipe, Optional<String> calibration)
      throws IOException {
    requireCalibration(recipe, calibration.isPresent());
    SourceSummary summary = SourceSummary.of(checkpoint);
    return new Planner(source, checkpoint, recipe, summary, calibration).plan();
  }

  /// Experts for a CPU are served beside a checkpoint of the same recipe, whose norm before the
  /// experts they must fit.
  private static void requireFittingHalves(Recipe recipe) {
    boolean experts =
        recipe.targets().stream().anyMatch(t -> t.target().kind() == Target.Kind.EXPERTS);
    for (TargetSpec spec : recipe.targets()) {
      boolean moved = spec.calibrated().smooth().contains(Pair.Kind.FEED_FORWARD_NORM);
      if (experts && moved && spec.target().kind() == Target.Kind.CHECKPOINT) {
        throw new RecipeException(
            "recipe, target " + spec.name(),
            "smooth: " + Pair.Kind.FEED_FORWARD_NORM.label() + " beside experts for a CPU",
            "experts that read the norm as it is",
            "name the pairs without it, smooth: ["
                + Pair.Kind.usual().stream()
                    .filter(kind -> kind != Pair.Kind.FEED_FORWARD_NORM)
                    .map(Pair.Kind::label)
                    .collect(Collectors.joining(", "))
                + "], or repack the experts from the smoothed result");
      }
    }
  }

  private static void requireCalibration(Recipe recipe, boolean given) {
    requireFittingHalves(recipe);
    if (recipe.needsCalibration() == given) {
      return;
    }
    throw given
        ? new RecipeException(
            "recipe " + recipe.name(),
            "no target with solver, smooth, importance or static activations, though a calibration was given",
            "a target that has use for it",
            "leave --calibration out, or add one of these keys")
        : new RecipeException(
            "recipe " + recipe.name(),
            "numbers to be chosen from a calibration (solver, smooth, importance, static activations)",
            "one: --calibration TABLE, or --corpus FILE to make it on the way",
            "make it with: smelt calibrate MODEL --corpus FILE -o TABLE");
  }

  /// The plan of a conversion from packed experts and the checkpoint that they belong to.
  ///
  /// @param packed the folder of the experts
  public static Plan plan(PackedExperts source, ModelSource packed, Recipe recipe)
      throws IOException {
    Checkpoint checkpoint = source.checkpoint();
    SourceSummary summary = SourceSummary.of(checkpoint).with(packed);
    requireCalibration(recipe, false);
    return new Planner(source, checkpoint, recipe, summary, Optional.empty()).plan();
  }

  private Plan plan() throws IOException {
    List<Plan.Dropped> dropped = new ArrayList<>();
    List<Weight> weights = weights(dropped);
    SideFiles sideFiles = SideFiles.of(source, checkpoint.sideFiles(), recipe.copyCode());
    List<TargetLayout> layouts = new ArrayList<>();
    for (TargetSpec spec : recipe.targets()) {
      int target = layouts.size();
      layouts.add(TargetLayout.of(target, spec, recipe, checkpoint, source, weights, sideFiles));
    }
    List<Unit> units = Units.group(jobs(weights, layouts), recipe.shardSize());
    List<TargetPlan> targets = new ArrayList<>();
    for (int t = 0; t < layouts.size(); t++) {
      targets.add(target(recipe.targets().get(t), layouts.get(t), units));
    }
    Plan plan =
        new Plan(
            summary,
            recipe,
            units,
            Deployments.added(checkpoint, units, targets),
            dropped,
            sideFiles.leftOut(),
            calibration);
    return withManifestSizes(plan);
  }

  /// The weights that the recipe wants; the rest is added to what is dropped.
  private List<Weight> weights(List<Plan.Dropped> dropped) {
    List<Weight> weights = new ArrayList<>();
    for (Leftover leftover : checkpoint.leftovers()) {
      dropped.add(new Plan.Dropped(leftover.tensor().name(), leftover.reason().words()));
    }
    for (Weight weight : checkpoint.weights()) {
      if (recipe.mtp() == MtpPolicy.DROP && isMtp(weight)) {
        dropped.addAll(
            Plan.Dropped.tensors(
                weight, "layer of multi-token prediction; the recipe says mtp: drop"));
      } else {
        weights.add(weight);
      }
    }
    return weights;
  }

  private boolean isMtp(Weight weight) {
    OptionalInt layer = weight.role().layer();
    return layer.isPresent() && layer.getAsInt() >= checkpoint.config().numHiddenLayers();
  }

  /// A weight that no target has a use for is not read.
  private static List<Job> jobs(List<Weight> weights, List<TargetLayout> layouts) {
    List<Job> jobs = new ArrayList<>(weights.size());
    for (Weight weight : weights) {
      List<Job.Output> outputs = new ArrayList<>(layouts.size());
      for (TargetLayout layout : layouts) {
        layout.output(weight).ifPresent(outputs::add);
      }
      if (!outputs.isEmpty()) {
        jobs.add(new Job(weight, outputs));
      }
    }
    List<Problem> problems = layouts.stream().flatMap(l -> l.problems().stream()).toList();
    if (!problems.isEmpty()) {
      throw new RecipeException(problems);
    }
    return jobs;
  }

  private TargetPlan target(TargetSpec spec, TargetLayout layout, List<Unit> units) {
    List<TargetPlan.Shard> shards = layout.shards(units);
    return new TargetPlan(
        spec,
        recipe.targets().size() == 1 ? "" : spec.name(),
        shards,
        layout.smallFiles(units, shards),
        layout.listing(shards),
        layout.dropped(),
        layout.leftOut(),
        layout.notes(),
        0);
  }

  static Plan withManifestSizes(Plan plan) {
    List<TargetPlan> sized =
        plan.targets().stream()
            .map(target -> target.withManifestBytes(Manifest.bytes(plan, target)))
            .toList();
    return new Plan(
        plan.source(),
        plan.recipe(),
        plan.units(),
        sized,
        plan.dropped(),
        plan.leftOut(),
        plan.calibration());
  }
}
