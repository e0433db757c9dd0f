package smelt.converter.cli;

import java.io.IOException;
import java.nio.file.FileStore;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
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
import smelt.calibrate.observe.CalibrationTable;
import smelt.calibrate.observe.HessianChoice;
import smelt.calibrate.observe.LayerObserver;
import smelt.calibrate.observe.TableIndex;
import smelt.calibrate.pass.CalibratePlan;
import smelt.calibrate.pass.Calibration;
import smelt.converter.ByteSize;
import smelt.converter.RefusedException;
import smelt.converter.Version;
import smelt.converter.progress.Progress;
import smelt.converter.run.AnonymousMemory;
import smelt.converter.run.HeapThrift;
import smelt.converter.run.OutputFolder;
import smelt.converter.run.ProductOffload;
import smelt.converter.run.StopSignal;
import smelt.converter.run.TableFolder;
import smelt.converter.tuning.ImatrixExport;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.codec.KernelSet;
import smelt.formats.source.ModelSource;

/// `smelt calibrate`: runs a model over a corpus once and keeps what went into its linears. Run
/// again after any interruption, it goes on. Exit code 1 when an expert saw too few tokens.
@Command(
    name = "calibrate",
    mixinStandardHelpOptions = true,
    description = {
      "Measure on text what goes into a model's linears; run again to resume.",
      "Exit code 1 if an expert saw fewer tokens than --min-coverage."
    })
public final class CalibrateCommand implements Callable<Integer> {

  private final Terminal terminal;
  private final Interruption interruption;

  @CommandLine.Spec private CommandLine.Model.CommandSpec command;

  @Parameters(index = "0", paramLabel = "MODEL", description = "Folder, snapshot or archive.")
  private Path model;

  @Option(
      names = "--corpus",
      split = ",",
      arity = "1..*",
      required = true,
      paramLabel = "FILE",
      description = "Text, or JSON lines with \"text\" or token \"ids\".")
  private List<Path> corpus = List.of();

  @Option(
      names = "--tokens",
      paramLabel = "N",
      defaultValue = "131072",
      description = "Tokens to run the model on, at most (default ${DEFAULT-VALUE}).")
  private long tokens;

  @Option(
      names = "--sequence-length",
      paramLabel = "N",
      description = "Tokens of a sequence, at most (default 512, or what the model can take).")
  private Integer length;

  @Option(
      names = "--hessians",
      paramLabel = "WHICH",
      defaultValue = "none",
      description = {
        "none; pool: of the inputs that a layer's experts share, of attention and of what all",
        "tokens pass; all: also of each expert's own inputs."
      })
  private HessianChoice hessians;

  @Option(
      names = "--floor",
      paramLabel = "N",
      defaultValue = "128",
      description = {
        "An expert with fewer tokens is also run on those that came closest to being routed to it,",
        "for the statistics of its down projection alone (default ${DEFAULT-VALUE}; 0 for never)."
      })
  private int floor;

  @Option(
      names = "--min-coverage",
      paramLabel = "N",
      defaultValue = "0",
      description = "Fewest tokens that any expert may see; with fewer the exit code is 1.")
  private long minCoverage;

  @Option(
      names = {"-o", "--output"},
      required = true,
      paramLabel = "TABLE",
      description = "Folder for the table; new, empty, or an unfinished run of the same command.")
  private Path output;

  @Option(
      names = "--imatrix",
      paramLabel = "FILE",
      description = {
        "Also write the importance of columns as an importance matrix of llama.cpp:",
        "a name that ends in .dat gives the older kind, any other the GGUF kind."
      })
  private Path imatrix;

  @Option(names = "--plan", description = "Say what it takes, and do nothing.")
  private boolean planOnly;

  @Option(
      names = "--kernels",
      paramLabel = "SET",
      defaultValue = "auto",
      description = "auto, vector or scalar.")
  private KernelOption.KernelChoice kernels;

  @Mixin private DeviceOption device;

  @Mixin private RunOptions run;

  @Mixin private QuietOption quiet;

  @Mixin private JsonOption json;

  public CalibrateCommand(Terminal terminal, Interruption interruption) {
    this.terminal = terminal;
    this.interruption = interruption;
  }

  @Override
  public Integer call() throws IOException {
    requirePositive();
    StopSignal stop = new StopSignal();
    interruption.arm(stop);
    String set = kernels.name().toLowerCase(Locale.ROOT);
    try (HeapThrift _ = new HeapThrift();
        AnonymousMemory watched = new AnonymousMemory();
        Compute compute =
            Compute.steady(MathKernelSet.choose(set), KernelSet.choose(set), run.threads());
        ModelSource source = Models.open(model)) {
      OutputFolder.refuseOverlap(output, model);
      Calibration.Model from = new Calibration.Model(source, Checkpoint.open(source));
      CalibrateTexts texts =
          CalibrateTexts.cut(
              from, corpus, length == null ? OptionalInt.empty() : OptionalInt.of(length), tokens);
      LayerObserver.Options options =
          new LayerObserver.Options(hessians, floor).holding(texts.text().heldOut());
      if (imatrix != null) {
        ImatrixExport.require(from.checkpoint());
      }
      CalibratePlan plan = plan(from, texts, options, compute);
      CalibratePlan withDevice = planOf(from, texts, options, compute, ProductOffload.HOST_BYTES);
      CalibrateText answer = new CalibrateText(terminal, json, device.isCuda() ? withDevice : plan);
      if (planOnly) {
        answer.showPlan();
        return ExitCode.OK.code();
      }
      requireDisk(plan);
      boolean hindered = withDevice.atOnce() < plan.atOnce();
      try (ProductOffload offload =
          device.openProducts(
              List.of(from.checkpoint()),
              new ProductOffload.Run(compute, withDevice.peak(), run.memory(), hindered))) {
        offload.products().ifPresent(compute::useDevice);
        if (offload.products().isPresent()) {
          plan = withDevice;
          answer = new CalibrateText(terminal, json, plan);
        }
        Tools tools = new Tools(compute, offload.text(), stop, watched);
        return run(from, texts, options, plan, tools, answer);
      }
    }
  }

  /// What a run works with.
  private record Tools(Compute compute, String device, StopSignal stop, AnonymousMemory watched) {}

  private int run(
      Calibration.Model from,
      CalibrateTexts texts,
      LayerObserver.Options options,
      CalibratePlan plan,
      Tools tools,
      CalibrateText answer)
      throws IOException {
    long start = System.nanoTime();
    try (Progress progress = quiet.progress(terminal, "calibrate")) {
      Calibration calibration =
          new Calibration(
              from,
              texts.text(),
              options,
              plan,
              tools.compute(),
              new CalibrateWatcher(progress, tools.stop()),
              "smelt " + Version.text());
      try (TableFolder folder = TableFolder.open(output, calibration::made)) {
        Calibration.Result result = result(calibration, folder, plan, tools.device());
        folder.finish();
        if (imatrix != null) {
          ImatrixFile.write(CalibrationTable.open(output), from.checkpoint(), imatrix);
        }
        double seconds = (System.nanoTime() - start) / 1e9;
        answer.showTable(CalibrationTable.open(output), result, seconds, tools.watched().peak());
        return covered(result.index());
      }
    }
  }

  private Calibration.Result result(
      Calibration calibration, TableFolder folder, CalibratePlan plan, String device)
      throws IOException {
    if (folder.isComplete()) {
      terminal.message("nothing to do: " + output + " already holds this table");
      TableIndex index = CalibrationTable.open(output).index();
      return new Calibration.Result(index, 0, index.model().layers() + 1);
    }
    terminal.message(
        String.format(
            Locale.ROOT,
            "%,d tokens, memory up to %s, disk up to %s; device %s",
            plan.tokens(),
            ByteSize.format(plan.peak()),
            ByteSize.format(plan.diskBytes()),
            device));
    return calibration.run(output, folder.work());
  }

  private int covered(TableIndex index) {
    for (TableIndex.LayerCoverage layer : index.coverage()) {
      if (layer.least() < minCoverage) {
        terminal.message(
            "coverage: layer "
                + layer.layer()
                + " has an expert that saw "
                + layer.least()
                + " tokens, the bound is "
                + minCoverage
                + "; give more or other text, or more --tokens");
        return ExitCode.BOUND_FAILED.code();
      }
    }
    return ExitCode.OK.code();
  }

  private void requirePositive() {
    String wrong =
        tokens < 2
            ? "--tokens " + tokens + ": at least 2"
            : length != null && length < 2
                ? "--sequence-length " + length + ": at least 2"
                : floor < 0 ? "--floor " + floor + ": at least 0" : "";
    if (!wrong.isEmpty()) {
      throw new CommandLine.ParameterException(command.commandLine(), wrong);
    }
  }

  private CalibratePlan plan(
      Calibration.Model from,
      CalibrateTexts texts,
      LayerObserver.Options options,
      Compute compute) {
    OptionalLong budget = run.memory();
    CalibratePlan plan = planOf(from, texts, options, compute, 0);
    if (budget.isPresent() && plan.peak() > budget.getAsLong()) {
      throw new RefusedException(
          "--memory " + ByteSize.format(budget.getAsLong()),
          "a calibration that takes up to " + ByteSize.format(plan.peak()),
          "at most " + ByteSize.format(budget.getAsLong()),
          "give at least "
              + ByteSize.format(plan.peak())
              + ", or shorter sequences with --sequence-length, or fewer --hessians");
    }
    return plan;
  }

  /// @param more bytes that the run takes besides, such as a GPU's driver
  private CalibratePlan planOf(
      Calibration.Model from,
      CalibrateTexts texts,
      LayerObserver.Options options,
      Compute compute,
      long more) {
    long export = imatrix == null ? 0 : ImatrixExport.bytes(from.checkpoint());
    CalibratePlan.Work work =
        new CalibratePlan.Work(
            from.checkpoint(),
            texts.text().tokens(),
            texts.text().longest(),
            options,
            compute,
            texts.bytes() + export + more);
    return CalibratePlan.of(work, run.memory());
  }

  private void requireDisk(CalibratePlan plan) throws IOException {
    Path existing = output.toAbsolutePath();
    while (!Files.exists(existing)) {
      existing = existing.getParent();
    }
    FileStore store = Files.getFileStore(existing);
    long free = store.getUsableSpace();
    boolean isNew = !Files.exists(output) || isEmpty(output);
    if (isNew && plan.diskBytes() > free) {
      throw new RefusedException(
          output.toString(),
          ByteSize.format(free) + " of free disk space",
          "at least " + ByteSize.format(plan.diskBytes()) + " for the table and hidden states",
          "free some, choose another folder, or give fewer --tokens or --hessians");
    }
  }

  private static boolean isEmpty(Path folder) throws IOException {
    try (Stream<Path> entries = Files.list(folder)) {
      return entries.findAny().isEmpty();
    }
  }
}
