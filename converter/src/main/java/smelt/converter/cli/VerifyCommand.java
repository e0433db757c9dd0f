package smelt.converter.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.converter.ByteSize;
import smelt.converter.RefusedException;
import smelt.converter.Version;
import smelt.converter.progress.Progress;
import smelt.converter.result.ResultModel;
import smelt.converter.run.AnonymousMemory;
import smelt.converter.run.HeapThrift;
import smelt.converter.run.ProductOffload;
import smelt.converter.run.StopSignal;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.codec.KernelSet;
import smelt.formats.codec.Kernels;
import smelt.formats.source.ModelSource;
import smelt.verify.inference.Verification;
import smelt.verify.inference.VerifyPlan;
import smelt.verify.quality.Looks;
import smelt.verify.quality.QualityReport;
import smelt.verify.report.QualityRendering.Format;

/// `smelt verify`: a result against the model that it was made from, weight by weight and on text.
/// Exit code 1 when a bound does not hold.
@Command(
    name = "verify",
    mixinStandardHelpOptions = true,
    description = {
      "Compare a result with its source: every weight, and both models on text.",
      "Exit code 0 if every bound holds, 1 if one does not or could not be measured."
    })
public final class VerifyCommand implements Callable<Integer> {

  private static final List<String> FORMATS =
      Stream.of(Format.values()).map(Format::label).toList();

  /// Which roundings of activations can be asked for.
  enum ActivationChoice {
    AUTO,
    NONE
  }

  private final Terminal terminal;
  private final Interruption interruption;

  @CommandLine.Spec private CommandLine.Model.CommandSpec command;

  @Parameters(index = "0", paramLabel = "OUT", description = "The result: folder or archive.")
  private Path result;

  @Option(
      names = "--against",
      required = true,
      paramLabel = "MODEL",
      description = "The model that it was converted from.")
  private Path against;

  @Option(
      names = "--corpus",
      split = ",",
      arity = "1..*",
      paramLabel = "FILE",
      description =
          "Text, or JSON lines with \"text\" or token \"ids\". Without it a built-in text is used.")
  private List<Path> corpus = List.of();

  @Option(
      names = "--tokens",
      paramLabel = "N",
      defaultValue = "16384",
      description = "Tokens to run both models on, at most (default ${DEFAULT-VALUE}).")
  private long tokens;

  @Option(
      names = "--sequence-length",
      paramLabel = "N",
      description = "Tokens of a sequence, at most (default 512, or what the model can take).")
  private Integer length;

  @Option(
      names = "--activations",
      paramLabel = "HOW",
      defaultValue = "auto",
      description =
          "auto: round the inputs of linears as the result's runtime does; none: leave them.")
  private ActivationChoice activations;

  @Option(names = "--weights-only", description = "Compare weights, run no model.")
  private boolean weightsOnly;

  @Option(
      names = "--no-early-stop",
      description = "Use all the text, even when a fail is certain before.")
  private boolean noEarlyStop;

  @Option(
      names = "--early-pass",
      description = {
        "Also look after a quarter and a half of the text, and stop where every bound holds, with",
        "limits at 99.5 and 99 %%. After all the text they are at 96.5 %% then, not 95 %%."
      })
  private boolean earlyPass;

  @Option(
      names = "--tables",
      paramLabel = "DIR",
      description = "Also write all figures there, as Arrow files.")
  private Path tables;

  @Option(
      names = "--kernels",
      paramLabel = "SET",
      defaultValue = "auto",
      description = "auto, vector or scalar.")
  private KernelOption.KernelChoice kernels;

  @Mixin private DeviceOption device;

  @Mixin private BoundsOptions bounds;

  @Mixin private RunOptions run;

  @Mixin private QuietOption quiet;

  @Mixin private JsonOption json;

  @Mixin private ReportOption report;

  public VerifyCommand(Terminal terminal, Interruption interruption) {
    this.terminal = terminal;
    this.interruption = interruption;
  }

  @Override
  public Integer call() throws IOException {
    Map<String, Path> reports = report.files(FORMATS);
    requirePositive();
    if (weightsOnly) {
      device.requireProcessor("verify --weights-only");
    }
    VerifyOutput output = new VerifyOutput(json.wanted(), reports, Optional.ofNullable(tables));
    output.requireWritable();
    String set = kernels.name().toLowerCase(Locale.ROOT);
    Kernels codec = KernelSet.choose(set);
    StopSignal stop = new StopSignal();
    interruption.arm(stop);
    interruption.writing(false);
    long start = System.nanoTime();
    try (HeapThrift _ = new HeapThrift();
        AnonymousMemory watched = new AnonymousMemory();
        Compute compute = Compute.steady(MathKernelSet.choose(set), codec, run.threads());
        ModelSource from = Models.open(against);
        ModelSource to = Models.open(result)) {
      BoundsOptions.Wanted asked = bounds.wanted(ManifestTarget.of(to));
      Verification.Model source = new Verification.Model(from, Checkpoint.open(from));
      try (ResultModel made = ResultModel.open(to, source, ManifestTarget.smoothed(to))) {
        Verification.Tools tools = new Verification.Tools(codec, compute);
        Judged judged = judge(source, made, asked.or(made.usual()), tools, stop);
        interruption.writing(true);
        double seconds = (System.nanoTime() - start) / 1e9;
        QualityReport found = judged.report();
        output.write(found, new VerifyOutput.Run(judged.plan(), watched.peak(), seconds), terminal);
        return (found.verdict().passed() ? ExitCode.OK : ExitCode.BOUND_FAILED).code();
      }
    }
  }

  /// A verdict, and the plan by which it was found.
  private record Judged(QualityReport report, VerifyPlan plan) {}

  private Judged judge(
      Verification.Model source,
      ResultModel results,
      BoundsOptions.Wanted wanted,
      Verification.Tools tools,
      StopSignal stop)
      throws IOException {
    Verification.Model made = results.model();
    Compute compute = tools.compute();
    if (!made.smoothed().isEmpty()) {
      terminal.message(
          "the manifest says that the result is smoothed: its weights are compared with the"
              + " source's times the factors that both models show");
    }
    if (!results.line().isEmpty()) {
      terminal.message(results.line());
    }
    VerifyTexts texts = texts(source, made);
    VerifyPlan alone = plan(source, made, texts, compute);
    VerifyPlan withDevice =
        VerifyPlan.of(work(source, made, texts, compute, ProductOffload.HOST_BYTES), run.memory());
    try (ProductOffload offload = offload(source, made, compute, alone, withDevice)) {
      offload.products().ifPresent(compute::useDevice);
      VerifyPlan plan = offload.products().isPresent() ? withDevice : alone;
      tell(texts, plan, offload);
      return new Judged(verify(source, made, texts, wanted, plan, tools, stop), plan);
    }
  }

  private ProductOffload offload(
      Verification.Model source,
      Verification.Model made,
      Compute compute,
      VerifyPlan plan,
      VerifyPlan withDevice) {
    if (weightsOnly) {
      return ProductOffload.none("cpu");
    }
    boolean hindered = withDevice.rounds() > plan.rounds();
    return device.openProducts(
        List.of(source.checkpoint(), made.checkpoint()),
        new ProductOffload.Run(compute, withDevice.peak(), run.memory(), hindered));
  }

  private void requirePositive() {
    if (tokens < 2 || (length != null && length < 2)) {
      throw new CommandLine.ParameterException(
          command.commandLine(),
          (tokens < 2 ? "--tokens " + tokens : "--sequence-length " + length) + ": at least 2");
    }
  }

  private VerifyTexts texts(Verification.Model source, Verification.Model made) throws IOException {
    Verification.requireComparable(source.checkpoint(), made.checkpoint());
    if (weightsOnly) {
      return VerifyTexts.none();
    }
    return VerifyTexts.cut(
        source.source(),
        source.checkpoint(),
        corpus,
        length == null ? OptionalInt.empty() : OptionalInt.of(length),
        tokens);
  }

  /// @param more bytes that the run takes besides, such as a GPU's driver
  private VerifyPlan.Work work(
      Verification.Model source,
      Verification.Model made,
      VerifyTexts texts,
      Compute compute,
      long more) {
    return new VerifyPlan.Work(
        source.checkpoint(),
        made.checkpoint(),
        texts.lengths(),
        compute,
        texts.bytes() + more,
        earlyPass && !weightsOnly
            ? Looks.onTheWay(texts.lengths())
            : Looks.atTheEnd(texts.lengths().size()),
        made.smoothed());
  }

  private VerifyPlan plan(
      Verification.Model source, Verification.Model made, VerifyTexts texts, Compute compute) {
    VerifyPlan plan = VerifyPlan.of(work(source, made, texts, compute, 0), run.memory());
    if (run.memory().isPresent() && plan.peak() > run.memory().getAsLong()) {
      throw new RefusedException(
          "--memory " + ByteSize.format(run.memory().getAsLong()),
          "a verification that takes up to "
              + ByteSize.format(plan.peak())
              + " with one sequence at a time",
          "at most " + ByteSize.format(run.memory().getAsLong()),
          "give at least "
              + ByteSize.format(plan.peak())
              + (plan.rounds() == 0 ? "" : ", or shorter sequences with --sequence-length"));
    }
    return plan;
  }

  private void tell(VerifyTexts texts, VerifyPlan plan, ProductOffload offload) {
    terminal.message(
        plan.rounds() == 0
            ? "weights only"
            : texts.sequences().size()
                + " sequences in "
                + plan.rounds()
                + (plan.rounds() == 1 ? " round" : " rounds")
                + ", memory up to "
                + ByteSize.format(plan.peak())
                + "; device "
                + offload.text());
  }

  private QualityReport verify(
      Verification.Model source,
      Verification.Model made,
      VerifyTexts texts,
      BoundsOptions.Wanted wanted,
      VerifyPlan plan,
      Verification.Tools tools,
      StopSignal stop)
      throws IOException {
    Verification.Request request =
        new Verification.Request(
            texts.sequences(),
            texts.documents(),
            activations == ActivationChoice.AUTO,
            wanted.profile(),
            wanted.bounds(),
            texts.eos(),
            !noEarlyStop,
            texts.units());
    try (Progress progress = quiet.progress(terminal, "verify")) {
      return new Verification(source, made, request, plan, tools, new VerifyWatcher(progress, stop))
          .run(new Verification.About(texts.corpora(), Version.text(), commandLine()));
    }
  }

  /// What was typed, quoted for a shell where needed.
  private String commandLine() {
    StringBuilder text = new StringBuilder("smelt verify");
    for (String word : command.commandLine().getParseResult().originalArgs()) {
      boolean plain = word.matches("[A-Za-z0-9_@%+=:,./-]+");
      text.append(' ').append(plain ? word : "'" + word.replace("'", "'\\''") + "'");
    }
    return text.toString();
  }
}
