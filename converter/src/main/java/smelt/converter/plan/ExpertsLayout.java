package smelt.converter.plan;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import smelt.converter.recipe.ExpertChoices;
import smelt.converter.recipe.TargetSpec;
import smelt.converter.target.TargetFormat;
import smelt.formats.ElementType;
import smelt.formats.Problem;
import smelt.formats.Shape;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Projection;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;
import smelt.formats.experts.ExpertFormat;
import smelt.formats.experts.ExpertPacker.Region;
import smelt.formats.safetensors.SafetensorsLayout;

/// A target for KTransformers' CPU kernels: the routed experts alone, packed and cut for NUMA
/// nodes, as the merged safetensors that `--kt-weight-path` takes.
///
/// | tensor | type | elements |
/// |---|---|---|
/// | `blk.L.ffn_{gate,up,down}_exps.E.numa.N.weight` | I8 | bytes of the packed slice |
/// | `blk.L.ffn_{gate,up,down}_exps.E.numa.N.scale` | F32 | rows of the slice |
///
/// Node `t` of `n` gets rows `[t I / n, (t + 1) I / n)` of gate and up, and those columns of down,
/// with `I` the intermediate size. Everything else of the model stays in the checkpoint that the
/// runtime is given beside these files.
final class ExpertsLayout implements TargetLayout {

  private static final String ELSEWHERE =
      "no routed expert: the runtime reads it from the checkpoint given as --model";
  private static final String DRAFT =
      "a layer of multi-token prediction: the runtime keeps its experts on the GPU";
  private static final String SIDE_FILE =
      "the runtime reads it from the checkpoint given as --model";

  private final int target;
  private final TargetSpec spec;
  private final ExpertFormat format;
  private final ExpertChoices choices;
  private final int hiddenLayers;
  private final SideFiles sideFiles;
  private final List<Problem> problems = new ArrayList<>();
  private final List<Plan.Dropped> dropped = new ArrayList<>();
  private int experts;

  ExpertsLayout(int target, TargetSpec spec, Checkpoint checkpoint, SideFiles sideFiles) {
    this.target = target;
    this.spec = spec;
    this.format = spec.target().expertFormat().orElseThrow();
    this.choices = spec.experts();
    this.hiddenLayers = checkpoint.config().numHiddenLayers();
    this.sideFiles = sideFiles;
  }

  @Override
  public Optional<Job.Output> output(Weight weight) {
    if (!(weight.role() instanceof TensorRole.RoutedExpert expert)) {
      dropped.addAll(Plan.Dropped.tensors(weight, ELSEWHERE));
      return Optional.empty();
    }
    if (expert.layerIndex() >= hiddenLayers) {
      dropped.addAll(Plan.Dropped.tensors(weight, DRAFT));
      return Optional.empty();
    }
    experts++;
    List<Job.Slice> slices = new ArrayList<>();
    for (int node = 0; node < choices.numa(); node++) {
      Optional<Region> region = region(weight, expert.projection(), node);
      if (region.isEmpty()) {
        return Optional.empty();
      }
      String name = name(expert, node);
      slices.add(new Job.Slice(name + ".weight", name + ".scale", region.get()));
    }
    return Optional.of(new Job.Output.Experts(target, format, choices.rule(), slices));
  }

  private static String name(TensorRole.RoutedExpert expert, int node) {
    return String.format(
        Locale.ROOT,
        "blk.%d.ffn_%s_exps.%d.numa.%d",
        expert.layerIndex(),
        expert.projection().name().toLowerCase(Locale.ROOT),
        expert.expert(),
        node);
  }

  /// What a node gets; empty, with the problem noted, when the kernels cannot read it.
  private Optional<Region> region(Weight weight, Projection projection, int node) {
    long rows = weight.shape().dim(0);
    long cols = weight.shape().dim(1);
    boolean byColumns = projection == Projection.DOWN;
    long whole = byColumns ? cols : rows;
    long part = whole / choices.numa();
    List<String> misfits = new ArrayList<>();
    if (whole % choices.numa() != 0) {
      misfits.add(whole + (byColumns ? " columns" : " rows") + " do not divide by the nodes");
    } else {
      misfits.addAll(format.misfits(projection, byColumns ? rows : part, byColumns ? part : cols));
    }
    if (misfits.isEmpty()) {
      return Optional.of(
          byColumns
              ? new Region(0, rows, node * part, part)
              : new Region(node * part, part, 0, cols));
    }
    if (problems.isEmpty() && node == 0) {
      problems.add(
          new Problem(
              weight.name(),
              "["
                  + rows
                  + ", "
                  + cols
                  + "] for "
                  + choices.numa()
                  + " NUMA nodes: "
                  + String.join("; ", misfits),
              "slices that " + format + " can pack",
              "take another `numa` in the recipe, or another target; all experts have this shape"));
    }
    return Optional.empty();
  }

  @Override
  public List<Problem> problems() {
    if (experts == 0) {
      return List.of(
          new Problem(
              "recipe, target " + spec.name(),
              "a model without routed experts",
              "a mixture-of-experts model",
              "take a target that holds the whole model"));
    }
    return problems;
  }

  @Override
  public List<TargetPlan.Shard> shards(List<Unit> units) {
    List<Integer> used = new ArrayList<>();
    List<ShardLayout> layouts = new ArrayList<>();
    for (int u = 0; u < units.size(); u++) {
      List<SafetensorsLayout.Tensor> tensors = new ArrayList<>();
      for (Job job : units.get(u).jobs()) {
        if (job.output(target).orElse(null) instanceof Job.Output.Experts output) {
          addTensors(tensors, job.weight(), output);
        }
      }
      if (!tensors.isEmpty()) {
        used.add(u);
        layouts.add(
            new ShardLayout.Safetensors(SafetensorsLayout.of(tensors, Map.of("format", "pt"))));
      }
    }
    List<TargetPlan.Shard> shards = new ArrayList<>();
    for (int i = 0; i < used.size(); i++) {
      String name = TargetFormat.shardName("model", i + 1, used.size());
      shards.add(new TargetPlan.Shard(used.get(i), name, layouts.get(i)));
    }
    return shards;
  }

  private void addTensors(
      List<SafetensorsLayout.Tensor> tensors, Weight weight, Job.Output.Experts output) {
    Projection projection = ((TensorRole.RoutedExpert) weight.role()).projection();
    for (Job.Slice slice : output.slices()) {
      Region region = slice.region();
      long bytes = format.bytes(projection, region.rows(), region.cols());
      tensors.add(new SafetensorsLayout.Tensor(slice.weight(), ElementType.I8, Shape.of(bytes)));
      tensors.add(
          new SafetensorsLayout.Tensor(slice.scale(), ElementType.F32, Shape.of(region.rows())));
    }
  }

  @Override
  public List<TargetPlan.SmallFile> smallFiles(List<Unit> units, List<TargetPlan.Shard> shards) {
    return List.of(MadeFiles.index("model.safetensors.index.json", shards));
  }

  @Override
  public List<Plan.Dropped> dropped() {
    return dropped;
  }

  @Override
  public List<Plan.Dropped> leftOut() {
    return sideFiles.carried().stream()
        .map(file -> new Plan.Dropped(file.from(), SIDE_FILE))
        .toList();
  }

  @Override
  public List<String> notes() {
    return List.of();
  }
}
