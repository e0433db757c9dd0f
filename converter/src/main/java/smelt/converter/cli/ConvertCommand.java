package smelt.converter.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.OptionalLong;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import smelt.converter.ByteSize;
import smelt.converter.RefusedException;
import smelt.converter.plan.Plan;
import smelt.converter.plan.Planner;
import smelt.converter.plan.TargetPlan;
import smelt.converter.progress.Progress;
import smelt.converter.recipe.Recipe;
import smelt.converter.recipe.Recipes;
import smelt.converter.report.Report;
import smelt.converter.report.Reports;
import smelt.converter.run.AnonymousMemory;
import smelt.converter.run.Conversion;
import smelt.converter.run.DiskSpace;
import smelt.converter.run.HeapThrift;
import smelt.converter.run.MemoryPlan;
import smelt.converter.run.OutputFolder;
import smelt.converter.run.StopSignal;
import smelt.converter.run.ZeroOffsets;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.codec.KernelSet;
import smelt.formats.codec.Kernels;
import smelt.formats.source.ModelSource;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// `smelt convert`: plans, converts and publishes. Run again after any interruption, it goes on.
@Command(
    name = "convert",
    mixinStandardHelpOptions = true,
    description = "Convert a model; run again to resume.")
public final class ConvertCommand implements Callable<Integer> {

  private final Terminal terminal;
  private final Interruption interruption;

  @Parameters(index = "0", paramLabel = "MODEL", description = "Folder, snapshot or archive.")
  private Path model;

  @Option(
      names = "--recipe",
      required = true,
      paramLabel = "NAME",
      description = "A built-in recipe or a YAML file.")
  private String recipe;

  @Option(
      names = {"-o", "--output"},
      required = true,
      paramLabel = "OUT",
      description = "Folder for the result; new, empty, or an unfinished run of the same plan.")
  private Path output;

  /// Kernel sets that can be asked for.
  enum KernelChoice {
    AUTO,
    VECTOR,
    SCALAR
  }

  @Option(
      names = "--kernels",
      paramLabel = "SET",
      defaultValue = "auto",
      description = "auto, vector or scalar. All give the same bytes.")
  private KernelChoice kernels;

  @Mixin private RunOptions run;

  @Mixin private QuietOption quiet;

  @Mixin private JsonOption json;

  @Mixin private ReportOption report;

  public ConvertCommand(Terminal terminal, Interruption interruption) {
    this.terminal = terminal;
    this.interruption = interruption;
  }

  @Override
  public Integer call() throws IOException, InterruptedException {
    Reports reports = report.reports();
    Recipe wanted = Recipes.load(recipe);
    Kernels chosen = chosenKernels();
    StopSignal stop = new StopSignal();
    interruption.arm(stop);
    try (HeapThrift _ = new HeapThrift();
        AnonymousMemory watched = new AnonymousMemory();
        ModelSource source = Models.open(model)) {
      OutputFolder.refuseOverlap(output, model);
      Checkpoint checkpoint = Models.toConvert(source);
      Plan plan = Planner.plan(source, checkpoint, wanted);
      MemoryPlan memory = MemoryPlan.of(plan, run.threads(), run.memory());
      DiskSpace.require(plan, output);
      ZeroOffsets.require(source, checkpoint);
      long start = System.nanoTime();
      try (OutputFolder folder = OutputFolder.open(output, plan, source)) {
        begin(folder, chosen, memory);
        LaunchNotes.of(plan).forEach(terminal::message);
        Conversion.Result result = convert(source, plan, folder, chosen, memory, stop);
        folder.publish();
        double seconds = (System.nanoTime() - start) / 1e9;
        answer(
            new Summary(plan, folder.planDigest(), memory, result, seconds, watched.peak()),
            reports);
      }
    }
    return ExitCode.OK.code();
  }

  private Kernels chosenKernels() {
    try {
      return KernelSet.choose(kernels.name().toLowerCase(Locale.ROOT));
    } catch (UnsupportedException e) {
      throw new RefusedException(
          "--kernels vector",
          e.getMessage(),
          "a Java machine with the vector module",
          "start through ./smelt, or let --kernels be auto");
    }
  }

  private void begin(OutputFolder folder, Kernels chosen, MemoryPlan memory) {
    if (folder.isComplete()) {
      terminal.message(
          "nothing to do: "
              + output
              + " already holds the whole output of this plan, from a model with these headers and"
              + " these norms and routers (remove it to convert again)");
    } else {
      terminal.message("kernels " + chosen.name() + ", " + memory.threads() + " threads");
    }
  }

  private Conversion.Result convert(
      ModelSource source,
      Plan plan,
      OutputFolder folder,
      Kernels chosen,
      MemoryPlan memory,
      StopSignal stop)
      throws IOException, InterruptedException {
    List<Integer> order = IntStream.range(0, plan.units().size()).boxed().toList();
    long left =
        order.stream()
            .filter(u -> !folder.isDone(u))
            .mapToLong(u -> plan.units().get(u).sourceBytes())
            .sum();
    long unitsLeft = order.stream().filter(u -> !folder.isDone(u)).count();
    try (Progress progress = quiet.progress(terminal, "convert")) {
      progress.start(left, unitsLeft);
      return Conversion.run(source, plan, folder, chosen, memory, stop, progress, order);
    }
  }

  /// What a finished conversion says of itself.
  private record Summary(
      Plan plan,
      String planDigest,
      MemoryPlan memory,
      Conversion.Result result,
      double seconds,
      OptionalLong peak) {}

  private void answer(Summary summary, Reports reports) throws IOException {
    if (json.wanted()) {
      json.answer(terminal, json(summary));
    } else {
      text(summary);
    }
    reports.write(report(summary));
  }

  private void text(Summary summary) {
    for (TargetPlan target : summary.plan().targets()) {
      terminal.answer(
          String.format(
              Locale.ROOT,
              "%-16s %s: %,d files, %,d bytes",
              target.spec().name(),
              output.resolve(target.folder()),
              target.files(),
              target.bytes()));
    }
    Conversion.Result result = summary.result();
    terminal.answer(
        String.format(
            Locale.ROOT,
            "%d units done, %d kept, %,d bytes read in %.1f s; memory %s of %s planned",
            result.unitsDone(),
            result.unitsKept(),
            result.bytesRead(),
            summary.seconds(),
            summary.peak().isPresent()
                ? ByteSize.format(summary.peak().getAsLong())
                : "not measured",
            ByteSize.format(summary.memory().peak())));
    terminal.answer("plan " + summary.planDigest());
  }

  private static ObjectNode json(Summary summary) {
    ObjectNode node = JsonNodeFactory.instance.objectNode();
    node.put("bytes_read", summary.result().bytesRead());
    node.put("memory_planned", summary.memory().peak());
    summary.peak().ifPresent(peak -> node.put("memory_peak", peak));
    node.put("output_bytes", summary.plan().outputBytes());
    node.put("plan", summary.planDigest());
    node.put("seconds", Math.round(summary.seconds() * 1000) / 1000.0);
    node.put("units_done", summary.result().unitsDone());
    node.put("units_kept", summary.result().unitsKept());
    return node;
  }

  private static Report report(Summary summary) {
    List<Report.Check> checks =
        List.of(
            new Report.Check(
                "all units have receipts",
                Report.Outcome.PASSED,
                summary.plan().units().size() + " units"),
            new Report.Check(
                "memory within the plan",
                summary.peak().isEmpty()
                    ? Report.Outcome.SKIPPED
                    : summary.peak().getAsLong() <= summary.memory().peak()
                        ? Report.Outcome.PASSED
                        : Report.Outcome.FAILED,
                summary.peak().isEmpty() ? "this system does not tell" : ""));
    List<Report.Figure> figures =
        List.of(
            new Report.Figure("bytes read", Long.toString(summary.result().bytesRead()), "B"),
            new Report.Figure("bytes written", Long.toString(summary.plan().outputBytes()), "B"),
            new Report.Figure("memory planned", Long.toString(summary.memory().peak()), "B"),
            new Report.Figure("plan", summary.planDigest(), ""));
    return new Report("smelt convert", List.of(new Report.Section("conversion", checks, figures)));
  }
}
