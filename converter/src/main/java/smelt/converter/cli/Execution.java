package smelt.converter.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.IntStream;
import smelt.converter.ByteSize;
import smelt.converter.onepass.OnePass;
import smelt.converter.plan.JudgedRows;
import smelt.converter.plan.Plan;
import smelt.converter.plan.TargetPlan;
import smelt.converter.progress.Progress;
import smelt.converter.report.Report;
import smelt.converter.report.Reports;
import smelt.converter.run.AnonymousMemory;
import smelt.converter.run.Conversion;
import smelt.converter.run.DiskSpace;
import smelt.converter.run.MemoryPlan;
import smelt.converter.run.Offload;
import smelt.converter.run.OutputFolder;
import smelt.converter.run.StopSignal;
import smelt.formats.codec.Kernels;
import smelt.formats.source.ModelSource;
import smelt.verify.quality.QualityReport;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// Carries a plan out as a command: compares it with memory and disk, runs what is left of it,
/// publishes, and answers.
final class Execution {

  private final String command;
  private final Terminal terminal;
  private final Kernels kernels;
  private final DeviceOption device;
  private final RunOptions run;
  private final QuietOption quiet;
  private final JsonOption json;
  private final Reports reports;
  private final StopSignal stop = new StopSignal();

  /// Takes the options before any work is done, so that a slip in one costs nothing. From now on a
  /// signal stops the run.
  ///
  /// @param command the command's name
  Execution(
      String command,
      Terminal terminal,
      Interruption interruption,
      Kernels kernels,
      DeviceOption device,
      RunOptions run,
      QuietOption quiet,
      JsonOption json,
      Reports reports) {
    this.command = command;
    this.terminal = terminal;
    this.kernels = kernels;
    this.device = device;
    this.run = run;
    this.quiet = quiet;
    this.json = json;
    this.reports = reports;
    interruption.arm(stop);
  }

  /// Runs a plan to its end.
  ///
  /// @param watched measures from before the source was opened
  void carryOut(ModelSource source, Plan plan, Path output, AnonymousMemory watched)
      throws IOException, InterruptedException {
    carryOut(source, plan, Optional.empty(), output, watched);
  }

  /// Runs a plan to its end, with what a calibration says.
  ///
  /// @param watched measures from before the source was opened
  void carryOut(
      ModelSource source,
      Plan plan,
      Optional<CalibratedPlan> calibrated,
      Path output,
      AnonymousMemory watched)
      throws IOException, InterruptedException {
    MemoryPlan memory =
        MemoryPlan.of(
            plan,
            run.threads(),
            run.memory(),
            threads -> calibrated.map(c -> c.bytes(threads)).orElse(0L));
    DiskSpace.require(plan, output);
    long start = System.nanoTime();
    try (Offload offload = device.open(plan, memory, run.memory());
        OutputFolder folder = OutputFolder.open(output, plan, source);
        CalibratedPlan.Opened tuning = CalibratedPlan.open(calibrated, kernels, memory.threads())) {
      begin(output, folder, offload.text(), memory);
      LaunchNotes.of(plan).forEach(terminal::message);
      Conversion.Means means = new Conversion.Means(kernels, offload.transcoder(), tuning.tuning());
      Conversion.Result result = convert(source, plan, folder, means, memory);
      folder.publish();
      double seconds = (System.nanoTime() - start) / 1e9;
      answer(
          new Summary(
              output,
              plan,
              folder.planDigest(),
              memory,
              offload.isDevice() ? memory.peakWithDriver() : memory.peak(),
              result,
              seconds,
              watched.peak(),
              judged(plan, folder),
              Map.of()));
    }
  }

  /// What one pass has to work with.
  ///
  /// @param planned bytes of memory at most, of the conversion and of what else is done
  /// @param device what multiplies with weights, for the log
  record PassMeans(MemoryPlan conversion, long planned, String device) {}

  /// Converts in one pass.
  @FunctionalInterface
  interface Pass {
    OnePass.Result run(OutputFolder folder, StopSignal stop, Progress progress) throws IOException;
  }

  /// Runs a plan to its end in one pass that calibrates and verifies too.
  ///
  /// @param watched measures from before the source was opened
  OnePass.Result carryOut(
      ModelSource source,
      Plan plan,
      PassMeans means,
      Path output,
      AnonymousMemory watched,
      Pass pass)
      throws IOException {
    DiskSpace.require(plan, output);
    long start = System.nanoTime();
    try (OutputFolder folder = OutputFolder.open(output, plan, source)) {
      begin(output, folder, means.device(), means.conversion());
      LaunchNotes.of(plan).forEach(terminal::message);
      OnePass.Result result;
      try (Progress progress = quiet.progress(terminal, command)) {
        startProgress(progress, plan, folder);
        result = pass.run(folder, stop, progress);
      }
      folder.publish();
      double seconds = (System.nanoTime() - start) / 1e9;
      Conversion.Result done = result.conversion();
      answer(
          new Summary(
              output,
              plan,
              folder.planDigest(),
              means.conversion(),
              means.planned(),
              new Conversion.Result(result.bytesRead(), done.unitsDone(), done.unitsKept()),
              seconds,
              watched.peak(),
              judged(plan, folder),
              result.reports()));
      return result;
    }
  }

  private static void startProgress(Progress progress, Plan plan, OutputFolder folder) {
    List<Integer> left =
        IntStream.range(0, plan.units().size()).filter(u -> !folder.isDone(u)).boxed().toList();
    progress.start(
        left.stream().mapToLong(u -> plan.units().get(u).sourceBytes()).sum(), left.size());
  }

  private void begin(Path output, OutputFolder folder, String device, MemoryPlan memory) {
    if (folder.isComplete()) {
      terminal.message(
          "nothing to do: "
              + output
              + " already holds the whole output of this plan, from a model with these headers and"
              + " these norms and routers (remove it to run again)");
    } else {
      terminal.message(
          "kernels " + kernels.name() + ", " + memory.threads() + " threads; device " + device);
    }
  }

  private Conversion.Result convert(
      ModelSource source, Plan plan, OutputFolder folder, Conversion.Means means, MemoryPlan memory)
      throws IOException, InterruptedException {
    List<Integer> order = IntStream.range(0, plan.units().size()).boxed().toList();
    try (Progress progress = quiet.progress(terminal, command)) {
      startProgress(progress, plan, folder);
      return Conversion.run(source, plan, folder, means, memory, stop, progress, order);
    }
  }

  /// What a finished conversion says of itself.
  ///
  /// @param planned bytes of memory at most
  /// @param judged rows that solvers chose, by target
  private record Summary(
      Path output,
      Plan plan,
      String planDigest,
      MemoryPlan memory,
      long planned,
      Conversion.Result result,
      double seconds,
      OptionalLong peak,
      SortedMap<String, JudgedRows> judged,
      Map<String, QualityReport> verdicts) {}

  private static SortedMap<String, JudgedRows> judged(Plan plan, OutputFolder folder) {
    SortedMap<String, JudgedRows> judged = new TreeMap<>();
    for (int t = 0; t < plan.targets().size(); t++) {
      JudgedRows rows = folder.judged(t);
      if (rows.solved() > 0) {
        judged.put(plan.targets().get(t).spec().name(), rows);
      }
    }
    return judged;
  }

  private void answer(Summary summary) throws IOException {
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
              summary.output().resolve(target.folder()),
              target.files(),
              target.bytes()));
    }
    summary
        .judged()
        .forEach((name, rows) ->
            terminal.answer(
                String.format(
                    Locale.ROOT,
                    "%-16s %,d rows solved, %,d judged on held-out tokens, %,d of these plainly"
                        + " rounded",
                    name,
                    rows.solved(),
                    rows.judged(),
                    rows.plain())));
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
            ByteSize.format(summary.planned())));
    terminal.answer("plan " + summary.planDigest());
    for (Map.Entry<String, QualityReport> verdict : summary.verdicts().entrySet()) {
      terminal.answer("");
      terminal.answer("verdict on " + verdict.getKey());
      VerifyText.lines(verdict.getValue(), terminal);
    }
  }

  private static ObjectNode json(Summary summary) {
    ObjectNode node = JsonNodeFactory.instance.objectNode();
    node.put("bytes_read", summary.result().bytesRead());
    node.put("memory_planned", summary.planned());
    summary.peak().ifPresent(peak -> node.put("memory_peak", peak));
    node.put("output_bytes", summary.plan().outputBytes());
    node.put("plan", summary.planDigest());
    node.put("seconds", Math.round(summary.seconds() * 1000) / 1000.0);
    node.put("units_done", summary.result().unitsDone());
    node.put("units_kept", summary.result().unitsKept());
    summary
        .judged()
        .forEach((name, rows) ->
            node.withObject("/held_out/" + name)
                .put("rows", rows.solved())
                .put("judged", rows.judged())
                .put("plain", rows.plain()));
    if (!summary.verdicts().isEmpty()) {
      ObjectNode verdicts = node.putObject("verdicts");
      summary
          .verdicts()
          .forEach(
              (name, report) -> verdicts.put(name, report.verdict().passed() ? "pass" : "fail"));
    }
    return node;
  }

  private Report report(Summary summary) {
    List<Report.Check> checks = new ArrayList<>();
    summary
        .verdicts()
        .forEach((name, report) ->
            checks.add(
                new Report.Check(
                    "verdict on " + name,
                    report.verdict().passed() ? Report.Outcome.PASSED : Report.Outcome.FAILED,
                    "")));
    checks.addAll(
        List.of(
            new Report.Check(
                "all units have receipts",
                Report.Outcome.PASSED,
                summary.plan().units().size() + " units"),
            new Report.Check(
                "memory within the plan",
                summary.peak().isEmpty()
                    ? Report.Outcome.SKIPPED
                    : summary.peak().getAsLong() <= summary.planned()
                        ? Report.Outcome.PASSED
                        : Report.Outcome.FAILED,
                summary.peak().isEmpty() ? "this system does not tell" : "")));
    List<Report.Figure> figures =
        List.of(
            new Report.Figure("bytes read", Long.toString(summary.result().bytesRead()), "B"),
            new Report.Figure("bytes written", Long.toString(summary.plan().outputBytes()), "B"),
            new Report.Figure("memory planned", Long.toString(summary.planned()), "B"),
            new Report.Figure("plan", summary.planDigest(), ""));
    return new Report(
        "smelt " + command, List.of(new Report.Section("conversion", checks, figures)));
  }
}
