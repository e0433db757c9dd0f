package smelt.converter.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Stream;
import picocli.CommandLine;
import smelt.converter.DidYouMean;
import smelt.converter.plan.GgufRepack;
import smelt.converter.plan.Plan;
import smelt.converter.plan.Planner;
import smelt.converter.recipe.ExpertChoices;
import smelt.converter.recipe.MtpPolicy;
import smelt.converter.recipe.Recipe;
import smelt.converter.recipe.RecipeException;
import smelt.converter.recipe.TargetSpec;
import smelt.converter.run.KeptScales;
import smelt.converter.run.ZeroOffsets;
import smelt.converter.target.Target;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.experts.ExpertFormat;
import smelt.formats.experts.ExpertPacker;
import smelt.formats.experts.PackedExperts;
import smelt.formats.gguf.GgufModel;
import smelt.formats.source.ModelSource;

/// What `repack` was given, opened and planned. Its source is one that conversions read: packed
/// experts appear as rows of a checkpoint.
///
/// @param folder where the input lies, which the output must not overlap
/// @param opened what is closed in the end, the last first
record Repacking(Path folder, ModelSource source, Plan plan, Deque<ModelSource> opened)
    implements AutoCloseable {

  /// Options as they were given.
  record Wanted(
      Optional<String> to,
      Optional<Integer> numa,
      Optional<ExpertChoices.Form> form,
      Optional<Path> model,
      boolean merge,
      Optional<Long> shardSize) {

    private boolean asksForExperts() {
      return to.isPresent() || numa.isPresent() || form.isPresent() || model.isPresent();
    }
  }

  /// @param misuse makes the error of a wrong command line
  static Repacking open(
      Path in, Wanted wanted, Function<String, CommandLine.ParameterException> misuse)
      throws IOException {
    Deque<ModelSource> opened = new ArrayDeque<>();
    try {
      ModelSource source = Inputs.open(in);
      opened.push(source);
      Repacking repacking;
      if (GgufModel.isIn(source)) {
        repacking = gguf(in, source, wanted, misuse, opened);
      } else if (wanted.merge()) {
        throw misuse.apply("--merge: " + in + " is not GGUF");
      } else if (PackedExperts.isIn(source)) {
        repacking = experts(in, source, wanted, misuse, opened);
      } else {
        repacking = checkpoint(in, source, wanted, misuse, opened);
      }
      return repacking;
    } catch (IOException | RuntimeException e) {
      Inputs.closeAll(opened);
      throw e;
    }
  }

  private static Repacking gguf(
      Path in,
      ModelSource source,
      Wanted wanted,
      Function<String, CommandLine.ParameterException> misuse,
      Deque<ModelSource> opened)
      throws IOException {
    if (wanted.asksForExperts()) {
      throw misuse.apply("GGUF is split or merged: --to, --numa, --form and --model have no use");
    }
    if (wanted.merge() == wanted.shardSize().isPresent()) {
      throw misuse.apply("GGUF: either --merge or --shard-size SIZE");
    }
    long size = wanted.shardSize().orElse(Long.MAX_VALUE);
    Plan plan = GgufRepack.plan(source, GgufModel.open(source), size);
    Path folder = Files.isDirectory(in) ? in : in.toAbsolutePath();
    return new Repacking(folder, source, plan, opened);
  }

  private static Repacking experts(
      Path in,
      ModelSource packed,
      Wanted wanted,
      Function<String, CommandLine.ParameterException> misuse,
      Deque<ModelSource> opened)
      throws IOException {
    Path model =
        wanted
            .model()
            .orElseThrow(() ->
                misuse.apply(
                    "--model MODEL is missing: the checkpoint that " + in + " belongs to"));
    ModelSource base = Models.open(model);
    opened.push(base);
    PackedExperts experts = PackedExperts.open(packed, base, Models.toConvert(base));
    opened.push(experts);
    Target target = wanted.to().map(Repacking::target).orElseGet(() -> targetOf(experts.format()));
    refuseNarrower(experts.format(), target);
    if (target.kind() == Target.Kind.CHECKPOINT && experts.nodes() > 1) {
      throw new RecipeException(
          "--to " + target.label(),
          "experts that are cut for " + experts.nodes() + " NUMA nodes",
          "experts for one, whose rows are whole",
          "repack them with --numa 1 first");
    }
    int numa = wanted.numa().orElse(experts.nodes());
    Recipe recipe = recipe(target, numa, wanted, misuse);
    Plan plan = Planner.plan(experts, packed, recipe);
    KeptScales.require(experts, plan);
    return new Repacking(in, experts, plan, opened);
  }

  private static Repacking checkpoint(
      Path in,
      ModelSource source,
      Wanted wanted,
      Function<String, CommandLine.ParameterException> misuse,
      Deque<ModelSource> opened)
      throws IOException {
    if (wanted.model().isPresent()) {
      throw misuse.apply("--model: " + in + " is a checkpoint itself");
    }
    String to =
        wanted
            .to()
            .orElseThrow(
                () -> misuse.apply("--to TARGET is missing: " + in + " could become several"));
    Target target = target(to);
    refuseNarrower(ExpertFormat.AMXINT8, target);
    Checkpoint checkpoint = Models.toConvert(source);
    Recipe recipe = recipe(target, wanted.numa().orElse(1), wanted, misuse);
    Plan plan = Planner.plan(source, checkpoint, recipe);
    ZeroOffsets.require(source, checkpoint);
    KeptScales.require(source, plan);
    return new Repacking(in, source, plan, opened);
  }

  private static Target target(String name) {
    List<String> known = Stream.of(Target.values()).map(Target::label).toList();
    return Target.named(name)
        .orElseThrow(() ->
            new RecipeException(
                "--to " + name,
                "no target",
                "one of " + String.join(", ", known),
                DidYouMean.remedy(name, known, "name one of them")));
  }

  private static Target targetOf(ExpertFormat format) {
    return Stream.of(Target.values())
        .filter(target -> target.expertFormat().equals(Optional.of(format)))
        .findFirst()
        .orElseThrow();
  }

  /// INT8 codes are in general no INT4 codes.
  private static void refuseNarrower(ExpertFormat from, Target target) {
    Optional<ExpertFormat> format = target.expertFormat();
    if (format.isPresent() && format.get().largest() < from.largest()) {
      throw new RecipeException(
          "--to " + target.label(),
          "codes up to " + from.largest() + ", which would be quantized again",
          "codes up to " + format.get().largest(),
          "use convert from the original checkpoint");
    }
  }

  private static Recipe recipe(
      Target target,
      int numa,
      Wanted wanted,
      Function<String, CommandLine.ParameterException> misuse) {
    if (target == Target.GGUF) {
      throw misuse.apply("--to gguf: use convert; repack splits and merges GGUF files");
    }
    TargetSpec spec = TargetSpec.of(target).exactly();
    if (target.kind() == Target.Kind.EXPERTS) {
      if (numa < 1 || numa > ExpertChoices.MOST_NODES) {
        throw misuse.apply("--numa " + numa + ": from 1 to " + ExpertChoices.MOST_NODES);
      }
      ExpertChoices.Form form = wanted.form().orElse(ExpertChoices.Form.MERGED);
      spec = spec.with(new ExpertChoices(numa, form, ExpertPacker.Rule.KEEP));
    } else if (wanted.numa().isPresent() || wanted.form().isPresent()) {
      throw misuse.apply("--numa and --form are for targets of experts, not " + target.label());
    }
    return new Recipe(
        "repack",
        "The same numbers in other files.",
        List.of(spec),
        MtpPolicy.KEEP,
        false,
        wanted.shardSize().orElse(Recipe.DEFAULT_SHARD_SIZE));
  }

  @Override
  public void close() throws IOException {
    Inputs.closeAll(opened);
  }
}
