package smelt.converter.plan;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import smelt.converter.deploy.Serving;
import smelt.converter.recipe.Recipe;
import smelt.converter.recipe.TargetSpec;
import smelt.converter.target.TargetFormat;
import smelt.formats.ElementType;
import smelt.formats.Problem;
import smelt.formats.Shape;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.ScaleFormat;
import smelt.formats.safetensors.SafetensorsLayout;

/// A target that is a checkpoint again: safetensors with an index, a config, and the source's side
/// files.
final class CheckpointLayout implements TargetLayout {

  private final int target;
  private final TargetSpec spec;
  private final Recipe recipe;
  private final Checkpoint checkpoint;
  private final SideFiles sideFiles;
  private final TargetFormat format;
  private final WeightRules rules;
  private final List<Problem> inexact = new ArrayList<>();

  CheckpointLayout(
      int target, TargetSpec spec, Recipe recipe, Checkpoint checkpoint, SideFiles sideFiles) {
    this.target = target;
    this.spec = spec;
    this.recipe = recipe;
    this.checkpoint = checkpoint;
    this.sideFiles = sideFiles;
    this.format = TargetFormat.of(spec.target(), scales(checkpoint, spec));
    this.rules = new WeightRules(spec, format);
  }

  /// Scales that the recipe does not choose are as the source's: powers of two stay so, because the
  /// runtime then rounds activation scales likewise.
  private static ScaleFormat scales(Checkpoint checkpoint, TargetSpec spec) {
    return spec.scales()
        .orElseGet(() ->
            checkpoint.weights().stream().anyMatch(CheckpointLayout::hasPowerOfTwoScales)
                ? ScaleFormat.UE8M0
                : ScaleFormat.FLOAT);
  }

  private static boolean hasPowerOfTwoScales(Weight weight) {
    return weight.encoding() instanceof Encoding.Block block
        && block.scaleFormat() == ScaleFormat.UE8M0;
  }

  @Override
  public Optional<Job.Output> output(Weight weight) {
    Encoding encoding = rules.encoding(weight);
    boolean scaled = encoding.scaleShape(weight.shape()).isPresent();
    Job.Output.Tensor output =
        new Job.Output.Tensor(
            target,
            TargetFormat.codesName(weight.name(), encoding),
            encoding,
            companion(scaled, weight, format.scaleSuffix()),
            companion(scaled && format.zeroOffsets(), weight, TargetFormat.OFFSET_SUFFIX),
            companion(encoding instanceof Encoding.Int4, weight, TargetFormat.SHAPE_SUFFIX),
            staticInputs(weight, scaled));
    if (spec.exact() && !ExactRules.keeps(weight, output)) {
      inexact.add(ExactRules.problem(weight, spec));
    }
    return Optional.of(output);
  }

  /// Linears of multi-head latent attention alone: their inputs are all tokens', and they have no
  /// bias. Layers of multi-token prediction are not run, so nothing is known of their inputs.
  private Optional<Job.StaticInputs> staticInputs(Weight weight, boolean scaled) {
    boolean known =
        weight.role() instanceof TensorRole.Attention attention
            && attention.layerIndex() < checkpoint.config().numHiddenLayers();
    return spec.calibrated().staticInputs() && scaled && known
        ? Optional.of(
            new Job.StaticInputs(
                TargetFormat.companion(weight.name(), "input_scale"),
                TargetFormat.companion(weight.name(), "input_offset"),
                TargetFormat.companion(weight.name(), "quant_bias"),
                TargetFormat.companion(weight.name(), "deq_scale")))
        : Optional.empty();
  }

  private static Optional<String> companion(boolean has, Weight weight, String suffix) {
    return has ? Optional.of(TargetFormat.companion(weight.name(), suffix)) : Optional.empty();
  }

  @Override
  public List<Problem> problems() {
    List<Problem> problems = new ArrayList<>(rules.problems());
    problems.addAll(inexact);
    if (spec.calibrated().staticInputs() && !latentAttention()) {
      problems.add(
          new Problem(
              "recipe, target " + spec.target().label() + " with activations: static",
              "a " + checkpoint.architecture().className(),
              "multi-head latent attention",
              "remove the key activations: inputs are then rounded token by token"));
    }
    spec.sharedWithCpu().ifPresent(nodes -> problems.addAll(unfit(nodes)));
    return problems;
  }

  private boolean latentAttention() {
    return switch (checkpoint.architecture()) {
      case DEEPSEEK_V2, DEEPSEEK_V3, DEEPSEEK_V32 -> true;
      case QWEN3_MOE, QWEN2, LLAMA, MIXTRAL -> false;
    };
  }

  /// What keeps KTransformers from cutting the experts for so many nodes.
  private List<Problem> unfit(int nodes) {
    String where = "recipe, target " + spec.target().label() + " with numa: " + nodes;
    if (checkpoint.config().routedExperts().isEmpty()) {
      return List.of(
          new Problem(where, "a model without experts", "routed experts", "remove the key numa"));
    }
    List<Problem> problems = new ArrayList<>();
    int step = Serving.step(spec.target());
    int hidden = checkpoint.config().hiddenSize();
    int width = checkpoint.config().moeIntermediateSize();
    if (hidden % step != 0) {
      problems.add(
          new Problem(
              where,
              "hidden size " + hidden,
              "a multiple of " + step,
              "take a target of packed experts, or serve the checkpoint from the GPU alone"));
    }
    if (width % nodes != 0 || width / nodes % step != 0) {
      problems.add(
          new Problem(
              where,
              "experts of width " + width,
              "a multiple of " + step + " for each node, so of " + (long) step * nodes,
              "take fewer nodes"));
    }
    return problems;
  }

  @Override
  public List<TargetPlan.Shard> shards(List<Unit> units) {
    List<TargetPlan.Shard> shards = new ArrayList<>();
    for (int u = 0; u < units.size(); u++) {
      List<SafetensorsLayout.Tensor> tensors = new ArrayList<>();
      for (Job job : units.get(u).jobs()) {
        if (job.output(target).orElseThrow() instanceof Job.Output.Tensor output) {
          addTensors(tensors, job.weight(), output);
        }
      }
      shards.add(
          new TargetPlan.Shard(
              u,
              format.shardName(u + 1, units.size()),
              new ShardLayout.Safetensors(SafetensorsLayout.of(tensors, Map.of("format", "pt")))));
    }
    return shards;
  }

  private static void addTensors(
      List<SafetensorsLayout.Tensor> tensors, Weight weight, Job.Output.Tensor output) {
    Encoding encoding = output.encoding();
    tensors.add(
        new SafetensorsLayout.Tensor(
            output.name(), encoding.type(), encoding.codeShape(weight.shape())));
    output
        .scale()
        .ifPresent(name ->
            tensors.add(
                new SafetensorsLayout.Tensor(
                    name,
                    encoding.scales().orElseThrow(),
                    encoding.scaleShape(weight.shape()).orElseThrow())));
    output
        .shape()
        .ifPresent(name ->
            tensors.add(
                new SafetensorsLayout.Tensor(
                    name, TargetFormat.SHAPE_TYPE, TargetFormat.SHAPE_SHAPE)));
    output.inputs().ifPresent(names -> addInputs(tensors, weight, names));
    output
        .offset()
        .ifPresent(name ->
            tensors.add(
                new SafetensorsLayout.Tensor(
                    name, ElementType.F32, TargetFormat.offsetShape(weight.shape()))));
  }

  private static void addInputs(
      List<SafetensorsLayout.Tensor> tensors, Weight weight, Job.StaticInputs names) {
    Shape rows = Shape.of(weight.shape().dim(0));
    tensors.add(new SafetensorsLayout.Tensor(names.scale(), ElementType.F32, Shape.of(1)));
    tensors.add(new SafetensorsLayout.Tensor(names.offset(), ElementType.F32, Shape.of(1)));
    tensors.add(new SafetensorsLayout.Tensor(names.bias(), ElementType.I32, rows));
    tensors.add(new SafetensorsLayout.Tensor(names.sums(), ElementType.F32, rows));
  }

  @Override
  public List<TargetPlan.SmallFile> smallFiles(List<Unit> units, List<TargetPlan.Shard> shards) {
    List<TargetPlan.SmallFile> files =
        new ArrayList<>(MadeFiles.of(checkpoint, recipe, spec, format, units, target, shards));
    files.addAll(sideFiles.carried());
    return files;
  }

  /// Every weight has a place.
  @Override
  public List<Plan.Dropped> dropped() {
    return List.of();
  }

  @Override
  public List<Plan.Dropped> leftOut() {
    return List.of();
  }

  @Override
  public List<String> notes() {
    return List.of();
  }
}
