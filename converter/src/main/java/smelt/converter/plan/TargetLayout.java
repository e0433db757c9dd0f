package smelt.converter.plan;

import java.io.IOException;
import java.util.List;
import java.util.Optional;
import smelt.converter.recipe.Recipe;
import smelt.converter.recipe.TargetSpec;
import smelt.formats.Problem;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Weight;
import smelt.formats.source.ModelSource;

/// What one target makes of a checkpoint: the part of planning that knows the target's format. It
/// is asked about every weight, in order, and then about its files.
sealed interface TargetLayout permits CheckpointLayout, ExpertsLayout, GgufFiles {

  /// The layout of a recipe's target.
  ///
  /// @param target index of the target in the recipe
  /// @param weights what the recipe wants of the checkpoint
  static TargetLayout of(
      int target,
      TargetSpec spec,
      Recipe recipe,
      Checkpoint checkpoint,
      ModelSource source,
      List<Weight> weights,
      SideFiles sideFiles)
      throws IOException {
    return switch (spec.target().kind()) {
      case CHECKPOINT -> new CheckpointLayout(target, spec, recipe, checkpoint, sideFiles);
      case EXPERTS -> new ExpertsLayout(target, spec, checkpoint, sideFiles);
      case GGUF -> GgufFiles.of(target, spec, checkpoint, source, weights, sideFiles);
    };
  }

  /// What becomes of a weight; empty when the target has no use for it.
  Optional<Job.Output> output(Weight weight);

  /// What the recipe asks for and the target's loaders would refuse; complete once every weight was
  /// asked about.
  List<Problem> problems();

  /// The shards, in the order of the units.
  List<TargetPlan.Shard> shards(List<Unit> units);

  /// Everything but shards and manifest.
  List<TargetPlan.SmallFile> smallFiles(List<Unit> units, List<TargetPlan.Shard> shards);

  /// The file that lists the others for a runtime, where there is one.
  default Optional<TargetPlan.Listing> listing(List<TargetPlan.Shard> shards) {
    return Optional.empty();
  }

  /// The source's tensors that the target has no use for.
  List<Plan.Dropped> dropped();

  /// The source's files that come along to other targets, but not to this one.
  List<Plan.Dropped> leftOut();

  /// What else there is to know about the target, as sentences.
  List<String> notes();
}
