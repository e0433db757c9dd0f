package smelt.converter.plan;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import smelt.converter.recipe.MtpPolicy;
import smelt.converter.recipe.Recipe;
import smelt.converter.recipe.RecipeException;
import smelt.converter.recipe.TargetSpec;
import smelt.converter.target.TargetFormat;
import smelt.formats.ElementType;
import smelt.formats.Problem;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Leftover;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.ScaleFormat;
import smelt.formats.safetensors.SafetensorsLayout;
import smelt.formats.source.ModelSource;

/// Makes the plan of a conversion from headers, config and recipe. Reads no weight.
public final class Planner {

  private final ModelSource source;
  private final Checkpoint checkpoint;
  private final Recipe recipe;
  private final List<TargetFormat> formats;

  private Planner(ModelSource source, Checkpoint checkpoint, Recipe recipe) {
    this.source = source;
    this.checkpoint = checkpoint;
    this.recipe = recipe;
    this.formats =
        recipe.targets().stream()
            .map(spec -> TargetFormat.of(spec.target(), scales(checkpoint, spec)))
            .toList();
  }

  /// The plan.
  ///
  /// @throws RecipeException if the recipe asks for what the targets' loaders would refuse
  public static Plan plan(ModelSource source, Checkpoint checkpoint, Recipe recipe)
      throws IOException {
    return new Planner(source, checkpoint, recipe).plan();
  }

  /// Scales that the recipe does not choose are as the source's: powers of two stay so, because the
  /// runtime then rounds activation scales likewise.
  private static ScaleFormat scales(Checkpoint checkpoint, TargetSpec spec) {
    return spec.scales()
        .orElseGet(() ->
            checkpoint.weights().stream().anyMatch(Planner::hasPowerOfTwoScales)
                ? ScaleFormat.UE8M0
                : ScaleFormat.FLOAT);
  }

  private static boolean hasPowerOfTwoScales(Weight weight) {
    return weight.encoding() instanceof Encoding.Block block
        && block.scaleFormat() == ScaleFormat.UE8M0;
  }

  private Plan plan() throws IOException {
    List<Plan.Dropped> dropped = new ArrayList<>();
    List<Weight> weights = new ArrayList<>();
    for (Leftover leftover : checkpoint.leftovers()) {
      dropped.add(new Plan.Dropped(leftover.tensor().name(), leftover.reason().words()));
    }
    for (Weight weight : checkpoint.weights()) {
      if (dropsMtp() && isMtp(weight)) {
        String reason = "layer of multi-token prediction; the recipe says mtp: drop";
        dropped.add(new Plan.Dropped(weight.codes().name(), reason));
        weight.scale().ifPresent(s -> dropped.add(new Plan.Dropped(s.name(), reason)));
      } else {
        weights.add(weight);
      }
    }
    SideFiles sideFiles = SideFiles.of(source, checkpoint.sideFiles(), recipe.copyCode());
    List<Job> jobs = jobs(weights);
    List<Unit> units = Units.group(jobs, recipe.shardSize());
    List<TargetPlan> targets = new ArrayList<>();
    for (int t = 0; t < formats.size(); t++) {
      targets.add(target(t, units, sideFiles));
    }
    Plan plan =
        new Plan(
            SourceSummary.of(checkpoint), recipe, units, targets, dropped, sideFiles.leftOut());
    return withManifestSizes(plan);
  }

  private boolean dropsMtp() {
    return recipe.mtp() == MtpPolicy.DROP;
  }

  private boolean isMtp(Weight weight) {
    OptionalInt layer = weight.role().layer();
    return layer.isPresent() && layer.getAsInt() >= checkpoint.config().numHiddenLayers();
  }

  private List<Job> jobs(List<Weight> weights) {
    List<WeightRules> rules = new ArrayList<>();
    for (int t = 0; t < formats.size(); t++) {
      rules.add(new WeightRules(recipe.targets().get(t), formats.get(t)));
    }
    List<Job> jobs = new ArrayList<>(weights.size());
    for (Weight weight : weights) {
      List<Job.Output> outputs = new ArrayList<>(formats.size());
      for (int t = 0; t < formats.size(); t++) {
        outputs.add(output(t, weight, rules.get(t).encoding(weight)));
      }
      jobs.add(new Job(weight, outputs));
    }
    List<Problem> problems = rules.stream().flatMap(r -> r.problems().stream()).toList();
    if (!problems.isEmpty()) {
      throw new RecipeException(problems);
    }
    return jobs;
  }

  private Job.Output output(int t, Weight weight, Encoding encoding) {
    TargetFormat format = formats.get(t);
    if (encoding.scaleShape(weight.shape()).isEmpty()) {
      return new Job.Output(t, encoding, Optional.empty(), Optional.empty());
    }
    return new Job.Output(
        t,
        encoding,
        Optional.of(TargetFormat.companion(weight.name(), format.scaleSuffix())),
        format.zeroOffsets()
            ? Optional.of(TargetFormat.companion(weight.name(), TargetFormat.OFFSET_SUFFIX))
            : Optional.empty());
  }

  private TargetPlan target(int t, List<Unit> units, SideFiles sideFiles) {
    TargetSpec spec = recipe.targets().get(t);
    TargetFormat format = formats.get(t);
    List<TargetPlan.Shard> shards = new ArrayList<>();
    for (Unit unit : units) {
      List<SafetensorsLayout.Tensor> tensors = new ArrayList<>();
      for (Job job : unit.jobs()) {
        addTensors(tensors, job.weight(), job.outputs().get(t));
      }
      shards.add(
          new TargetPlan.Shard(
              format.shardName(unit.number(), units.size()),
              SafetensorsLayout.of(tensors, Map.of("format", "pt"))));
    }
    String folder = formats.size() == 1 ? "" : spec.target().label();
    List<TargetPlan.SmallFile> smallFiles =
        new ArrayList<>(MadeFiles.of(checkpoint, recipe, spec, format, units, t, shards));
    smallFiles.addAll(sideFiles.carried());
    return new TargetPlan(spec, format, folder, shards, smallFiles, 0);
  }

  private static void addTensors(
      List<SafetensorsLayout.Tensor> tensors, Weight weight, Job.Output output) {
    Encoding encoding = output.encoding();
    tensors.add(new SafetensorsLayout.Tensor(weight.name(), encoding.type(), weight.shape()));
    output
        .scale()
        .ifPresent(name ->
            tensors.add(
                new SafetensorsLayout.Tensor(
                    name, ElementType.F32, encoding.scaleShape(weight.shape()).orElseThrow())));
    output
        .offset()
        .ifPresent(name ->
            tensors.add(
                new SafetensorsLayout.Tensor(
                    name, ElementType.F32, TargetFormat.offsetShape(weight.shape()))));
  }

  private static Plan withManifestSizes(Plan plan) {
    List<TargetPlan> sized = new ArrayList<>();
    for (TargetPlan target : plan.targets()) {
      sized.add(
          new TargetPlan(
              target.spec(),
              target.format(),
              target.folder(),
              target.shards(),
              target.smallFiles(),
              Manifest.bytes(plan, target)));
    }
    return new Plan(
        plan.source(), plan.recipe(), plan.units(), sized, plan.dropped(), plan.leftOut());
  }
}
