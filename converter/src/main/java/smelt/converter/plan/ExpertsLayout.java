package smelt.converter.plan;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import smelt.converter.recipe.ExpertChoices;
import smelt.converter.recipe.ExpertChoices.Form;
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
import smelt.formats.experts.ExpertPacker;
import smelt.formats.experts.ExpertPacker.Region;
import smelt.formats.experts.ExpertTensor;
import smelt.formats.experts.ExpertTensor.Content;
import smelt.formats.experts.RowScales;
import smelt.formats.safetensors.SafetensorsLayout;

/// A target for KTransformers' CPU kernels: the routed experts alone, packed and cut for NUMA
/// nodes, as `--kt-weight-path` takes them: merged safetensors, or a `.kt` tree in the folder
/// `experts`, with the names of [ExpertTensor].
///
/// | tensor | type | elements |
/// |---|---|---|
/// | codes of a slice | I8 | bytes of the packed slice |
/// | its scales | F32 | rows of the slice |
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

  /// The root of a tree: beside it lies what the runtime does not let in it.
  private static final String TREE = "experts";

  private final int target;
  private final TargetSpec spec;
  private final ExpertFormat format;
  private final ExpertChoices choices;
  private final int hiddenLayers;
  private final long hiddenSize;
  private final SideFiles sideFiles;
  private final List<Problem> problems = new ArrayList<>();
  private final List<Plan.Dropped> dropped = new ArrayList<>();
  private int experts;
  private int mostExperts;
  private long intermediateSize;
  private long files;
  private long folders = 1;

  ExpertsLayout(int target, TargetSpec spec, Checkpoint checkpoint, SideFiles sideFiles) {
    this.target = target;
    this.spec = spec;
    this.format = spec.target().expertFormat().orElseThrow();
    this.choices = spec.experts();
    this.hiddenLayers = checkpoint.config().numHiddenLayers();
    this.hiddenSize = checkpoint.config().hiddenSize();
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
    if (choices.rule() == ExpertPacker.Rule.KEEP
        && RowScales.of(weight.encoding(), weight.shape().dim(1)).isEmpty()) {
      problems.add(ExactRules.problem(weight, spec));
      return Optional.empty();
    }
    mostExperts = Math.max(mostExperts, expert.expert() + 1);
    if (expert.projection() == Projection.UP) {
      intermediateSize = weight.shape().dim(0);
    }
    List<Job.Slice> slices = new ArrayList<>();
    for (int node = 0; node < choices.numa(); node++) {
      Optional<Region> region = region(weight, expert.projection(), node);
      if (region.isEmpty()) {
        return Optional.empty();
      }
      ExpertTensor codes = tensor(expert, node);
      String scales = codes.with(Content.SCALES).tensorName();
      slices.add(new Job.Slice(codes.tensorName(), scales, region.get()));
    }
    return Optional.of(new Job.Output.Experts(target, format, choices.rule(), slices));
  }

  private static ExpertTensor tensor(TensorRole.RoutedExpert expert, int node) {
    return new ExpertTensor(
        expert.layerIndex(), expert.projection(), expert.expert(), node, Content.CODES);
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
    List<List<SafetensorsLayout.Tensor>> contents = new ArrayList<>();
    for (int u = 0; u < units.size(); u++) {
      List<SafetensorsLayout.Tensor> tensors = new ArrayList<>();
      for (Job job : units.get(u).jobs()) {
        if (job.output(target).orElse(null) instanceof Job.Output.Experts output) {
          addTensors(tensors, job.weight(), output);
        }
      }
      if (!tensors.isEmpty()) {
        used.add(u);
        contents.add(tensors);
      }
    }
    List<TargetPlan.Shard> shards = new ArrayList<>();
    for (int i = 0; i < used.size(); i++) {
      List<SafetensorsLayout.Tensor> tensors = contents.get(i);
      int unit = used.get(i);
      shards.add(
          switch (choices.form()) {
            case MERGED ->
                new TargetPlan.Shard(
                    unit,
                    TargetFormat.shardName("model", i + 1, used.size()),
                    new ShardLayout.Safetensors(
                        SafetensorsLayout.of(tensors, Map.of("format", "pt"))));
            case TREE -> {
              ShardLayout.Tree tree = tree(tensors);
              files += tree.tensors().size();
              folders += (long) tree.folders().size() * (1 + choices.numa());
              yield new TargetPlan.Shard(unit, TREE, tree);
            }
          });
    }
    return shards;
  }

  private ShardLayout.Tree tree(List<SafetensorsLayout.Tensor> tensors) {
    List<ShardLayout.Tree.Leaf> leaves = new ArrayList<>();
    for (SafetensorsLayout.Tensor tensor : tensors) {
      long bytes = tensor.shape().bytes(tensor.type());
      ExpertTensor slice = ExpertTensor.ofTensor(tensor.name()).orElseThrow();
      leaves.add(
          new ShardLayout.Tree.Leaf(
              slice.path(format, bytes),
              new ShardLayout.Part(
                  tensor.name(), tensor.type().name(), tensor.shape().dims(), 0, bytes)));
    }
    return ShardLayout.Tree.of(leaves);
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
    return switch (choices.form()) {
      case MERGED -> List.of(MadeFiles.index("model.safetensors.index.json", shards));
      case TREE -> List.of();
    };
  }

  private KtWeightManifest.Sizes sizes() {
    return new KtWeightManifest.Sizes(choices.numa(), mostExperts, hiddenSize, intermediateSize);
  }

  @Override
  public Optional<TargetPlan.Listing> listing(List<TargetPlan.Shard> shards) {
    return choices.form() == Form.TREE && KtWeightManifest.knows(format)
        ? Optional.of(new KtWeightManifest(TREE, sizes(), shards))
        : Optional.empty();
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
    return switch (choices.form()) {
      case MERGED -> List.of();
      case TREE -> {
        List<String> notes = new ArrayList<>();
        notes.add(
            "a tree of "
                + files
                + " files in "
                + folders
                + " folders: the file system needs as many free inodes");
        if (!KtWeightManifest.knows(format)) {
          notes.add(
              "no "
                  + KtWeightManifest.NAME
                  + ": the runtime has a name for the layout of AMXINT8 alone");
        }
        yield notes;
      }
    };
  }
}
