package smelt.converter.cli;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.calibrate.model.LayerOptions;
import smelt.calibrate.model.ReferenceModel;
import smelt.calibrate.model.TokenBatch;
import smelt.calibrate.outlier.OutlierObserver;
import smelt.calibrate.outlier.Outliers;
import smelt.calibrate.sensitivity.Sensitivity;
import smelt.converter.ByteSize;
import smelt.converter.RefusedException;
import smelt.converter.choose.Chooser;
import smelt.converter.choose.TargetSchemes;
import smelt.converter.gguf.GgufTypes;
import smelt.converter.plan.Planner;
import smelt.converter.recipe.Recipe;
import smelt.converter.recipe.RecipeYaml;
import smelt.converter.recipe.Recipes;
import smelt.converter.run.HeapThrift;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.codec.KernelSet;
import smelt.formats.gguf.GgmlType;
import smelt.formats.source.ModelSource;

/// `smelt choose`: measures what each part of a model loses in each scheme that a target allows,
/// and writes the recipe that loses least within so many bytes.
@Command(
    name = "choose",
    mixinStandardHelpOptions = true,
    description = {
      "Choose a scheme for each part of a model, and write that as a recipe.",
      "Exit code 1 if the measured divergence is more than --max-kl."
    })
public final class ChooseCommand implements Callable<Integer> {

  private static final long DEFAULT_MEMORY = 2L << 30;
  private static final long LEAST_MEMORY = 64L << 20;

  /// Probes that go through a layer with one read of its experts.
  private static final long SHARING = 16;

  private final Terminal terminal;

  @CommandLine.Spec private CommandLine.Model.CommandSpec command;

  @Parameters(index = "0", paramLabel = "MODEL", description = "Folder, snapshot or archive.")
  private Path model;

  @Option(
      names = "--recipe",
      required = true,
      paramLabel = "NAME",
      description = "A recipe with one target: what is not chosen stays as it says.")
  private String recipe;

  @Option(
      names = "--budget",
      paramLabel = "SIZE",
      converter = ByteSizeConverter.class,
      description = "Bytes of all output at most. Default: what the recipe takes as it is.")
  private Long budget;

  @Option(
      names = "--max-kl",
      paramLabel = "KL",
      description = "In place of a budget: the fewest bytes with at most so much mean divergence.")
  private Double maxKl;

  @Option(
      names = "--types",
      split = ",",
      paramLabel = "TYPE",
      defaultValue = "q4_k,q5_k,q6_k,q8_0",
      description = "Types of GGUF to choose among (default ${DEFAULT-VALUE}), and the recipe's.")
  private List<String> types;

  @Option(
      names = "--corpus",
      split = ",",
      arity = "1..*",
      paramLabel = "FILE",
      description =
          "Text to choose from, as for verify. The result is measured on the built-in text.")
  private List<Path> corpus = List.of();

  @Option(
      names = "--tokens",
      paramLabel = "N",
      defaultValue = "2048",
      description = "Tokens of each text, at most (default ${DEFAULT-VALUE}).")
  private long tokens;

  @Option(
      names = {"-o", "--output"},
      required = true,
      paramLabel = "RECIPE",
      description = "Where to write the recipe. It must not be there yet.")
  private Path output;

  @Mixin private RunOptions run;

  public ChooseCommand(Terminal terminal) {
    this.terminal = terminal;
  }

  @Override
  public Integer call() throws IOException {
    requireSense();
    Recipe base = named(Recipes.load(recipe));
    if (base.targets().size() != 1) {
      throw wrong(
          "--recipe " + recipe + " has " + base.targets().size() + " targets: choose for one");
    }
    if (base.needsCalibration()) {
      throw wrong(
          "--recipe "
              + recipe
              + " chooses from a calibration: choose first, and add its keys to the"
              + " recipe that comes out");
    }
    TargetSchemes target = TargetSchemes.of(base.targets().getFirst(), types);
    try (HeapThrift _ = new HeapThrift();
        Compute compute =
            Compute.steady(MathKernelSet.choose("auto"), KernelSet.choose("auto"), run.threads());
        ModelSource source = Models.open(model)) {
      Checkpoint checkpoint = Models.toConvert(source);
      VerifyTexts calibration = texts(source, checkpoint, corpus);
      VerifyTexts heldOut = corpus.isEmpty() ? calibration : texts(source, checkpoint, List.of());
      long memory = run.memory().orElse(DEFAULT_MEMORY);
      long scratch = scratch(checkpoint, calibration, memory / 2);
      try (ReferenceModel reference = ReferenceModel.open(checkpoint, source, compute, scratch)) {
        int layers = reference.spec().layerCount();
        Chooser chooser = new Chooser(source, checkpoint, base, target, layers);
        Chooser.Wanted wanted = wanted(source, checkpoint, base);
        return choose(chooser, wanted, reference, calibration, heldOut, memory - scratch).code();
      }
    }
  }

  private void requireSense() {
    if (budget != null && maxKl != null) {
      throw wrong("--budget and --max-kl: one of them");
    }
    if (maxKl != null && !(maxKl > 0)) {
      throw wrong("--max-kl " + maxKl + ": more than 0");
    }
    if (tokens < 2) {
      throw wrong("--tokens " + tokens + ": at least 2");
    }
    List<String> known =
        Stream.of(GgmlType.values())
            .filter(GgufTypes::canWrite)
            .map(type -> type.name().toLowerCase(java.util.Locale.ROOT))
            .toList();
    for (String type : types) {
      if (!known.contains(type)) {
        throw wrong("--types " + type + ": one of " + String.join(", ", known));
      }
    }
    Path parent = output.toAbsolutePath().getParent();
    if (parent == null || !Files.isDirectory(parent) || !Files.isWritable(parent)) {
      throw wrong("-o " + output + ": no folder there that can be written to");
    }
    if (Files.exists(output)) {
      throw wrong("-o " + output + ": it is there already; name another, or remove it");
    }
  }

  private CommandLine.ParameterException wrong(String message) {
    return new CommandLine.ParameterException(command.commandLine(), message);
  }

  private VerifyTexts texts(ModelSource source, Checkpoint checkpoint, List<Path> files)
      throws IOException {
    return VerifyTexts.cut(source, checkpoint, files, OptionalInt.empty(), tokens);
  }

  private long scratch(Checkpoint checkpoint, VerifyTexts texts, long most) {
    int longest = texts.lengths().stream().mapToInt(Integer::intValue).max().orElseThrow();
    long least = ReferenceModel.leastScratch(checkpoint, longest);
    if (least + LEAST_MEMORY > most) {
      throw new RefusedException(
          "--memory " + ByteSize.format(2 * most),
          "at least " + ByteSize.format(2 * (least + LEAST_MEMORY)) + " to run the model",
          "at most " + ByteSize.format(2 * most),
          "give more, or shorter texts");
    }
    return Math.min(most, Math.max(least, enough(checkpoint, texts, longest)));
  }

  /// Scratch with which a few dozen probes share what they read.
  private static long enough(Checkpoint checkpoint, VerifyTexts texts, int longest) {
    long text = texts.lengths().stream().mapToLong(Integer::longValue).sum();
    return ReferenceModel.thriftyScratch(checkpoint, SHARING * text, longest);
  }

  private Chooser.Wanted wanted(ModelSource source, Checkpoint checkpoint, Recipe base)
      throws IOException {
    if (maxKl != null) {
      return new Chooser.Wanted(OptionalLong.empty(), OptionalDouble.of(maxKl));
    }
    long bytes = budget != null ? budget : Planner.plan(source, checkpoint, base).outputBytes();
    return new Chooser.Wanted(OptionalLong.of(bytes), OptionalDouble.empty());
  }

  private ExitCode choose(
      Chooser chooser,
      Chooser.Wanted wanted,
      ReferenceModel reference,
      VerifyTexts calibration,
      VerifyTexts heldOut,
      long memory)
      throws IOException {
    Sensitivity choosing =
        new Sensitivity(reference, calibration.sequences(), run.threads(), memory);
    Sensitivity measuring = new Sensitivity(reference, heldOut.sequences(), run.threads(), memory);
    terminal.message(
        chooser.parts().size()
            + " parts in "
            + chooser.schemes().size()
            + " schemes, up to "
            + choosing.probesOfRound()
            + " probes at a time");
    Outliers outliers = outliers(reference, calibration.sequences());
    Chooser.Result result =
        chooser.choose(
            wanted, choosing, measuring, outliers, done -> terminal.message(done + " probes done"));
    List<String> lines = ChoiceText.lines(result, outliers);
    lines.forEach(terminal::answer);
    Recipe chosen = chooser.recipe(name(), result.chosen().schemes());
    Files.writeString(output, RecipeYaml.of(chosen, ChoiceText.summary(result)));
    boolean held = maxKl == null || result.chosen().measured() <= maxKl;
    if (!held) {
      terminal.message(
          "--max-kl " + maxKl + " is predicted to hold, but measured on other text it does not");
    }
    return held ? ExitCode.OK : ExitCode.BOUND_FAILED;
  }

  /// Under the name that the result will have: names are in manifests, and count to the byte.
  private Recipe named(Recipe read) {
    return new Recipe(
        name(), read.description(), read.targets(), read.mtp(), read.copyCode(), read.shardSize());
  }

  /// The recipe's name is that of its file.
  private String name() {
    String file = output.getFileName().toString().replaceFirst("\\.ya?ml$", "");
    String name = file.replaceAll("[^A-Za-z0-9._-]", "-");
    return name.isEmpty() ? "chosen" : name;
  }

  private static Outliers outliers(ReferenceModel reference, List<int[]> texts) throws IOException {
    OutlierObserver observer = new OutlierObserver();
    try (Arena arena = Arena.ofShared()) {
      TokenBatch batch = TokenBatch.of(arena, texts, reference.spec().hidden());
      reference.embed(batch);
      for (int layer = 0; layer < reference.spec().layerCount(); layer++) {
        reference.layer(layer, batch, LayerOptions.observed(observer));
      }
    }
    return observer.outliers();
  }
}
