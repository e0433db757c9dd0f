package smelt.converter.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.calibrate.solve.SolveKernelSet;
import smelt.converter.Version;
import smelt.converter.onepass.OnePass;
import smelt.converter.onepass.PassMemory;
import smelt.converter.onepass.PassPlan;
import smelt.converter.plan.Plan;
import smelt.converter.plan.Planner;
import smelt.converter.plan.TargetPlan;
import smelt.converter.recipe.BoundsSpec;
import smelt.converter.recipe.Recipe;
import smelt.converter.recipe.TargetSpec;
import smelt.converter.report.Reports;
import smelt.converter.run.AnonymousMemory;
import smelt.converter.run.MemoryPlan;
import smelt.converter.run.ProductOffload;
import smelt.converter.run.ZeroOffsets;
import smelt.converter.target.Target;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.codec.Kernels;
import smelt.formats.source.ModelSource;
import smelt.verify.inference.Verification;
import smelt.verify.quality.QualityReport;
import smelt.verify.report.QualityRendering;
import smelt.verify.report.QualityRendering.Format;

/// `smelt convert` that calibrates and verifies on the way.
///
/// @param kernels of the codecs
/// @param device what multiplies with weights
record OnePassConversion(
    Terminal terminal,
    OnePassOptions options,
    Kernels kernels,
    DeviceOption device,
    RunOptions run) {

  /// Does it all.
  ///
  /// @return whether every bound of every verified target holds, and what recipes want of coverage
  boolean carryOut(
      ModelSource source, Recipe recipe, Path output, Execution execution, AnonymousMemory watched)
      throws IOException {
    Checkpoint checkpoint = Models.toConvert(source);
    PassTexts texts = PassTexts.cut(source, checkpoint, options);
    Plan plan = Planner.plan(source, checkpoint, recipe, texts.digest(options.floor()));
    ZeroOffsets.require(source, checkpoint);
    PassPlan pass =
        new PassPlan(
            plan,
            checkpoint,
            texts.sequences(),
            options.floor(),
            target -> request(target, texts.evaluation()),
            new Verification.About(texts.corpora(), Version.text(), options.commandLine()));
    MemoryPlan memory = MemoryPlan.of(plan, run.threads(), run.memory(), pass::tuningBytes);
    String set = kernels.name().equals("scalar") ? "scalar" : "vector";
    try (Compute compute = Compute.steady(MathKernelSet.choose(set), kernels, memory.threads())) {
      PassPlan.Tools tools =
          new PassPlan.Tools(new Verification.Tools(kernels, compute), SolveKernelSet.choose(set));
      Fit fit = Fit.of(pass.work(source, memory, output, tools), run.memory());
      try (ProductOffload offload = device.openProducts(fit.models(), fit.run(compute))) {
        offload.products().ifPresent(compute::useDevice);
        PassMemory planned = offload.products().isPresent() ? fit.withDevice() : fit.alone();
        planned.requireWithin(run.memory());
        tell(plan, texts);
        return conclude(
            recipe,
            execution.carryOut(
                source,
                plan,
                new Execution.PassMeans(memory, planned.peak(), offload.text()),
                output,
                watched,
                (folder, stop, progress) ->
                    pass.run(source, folder, memory, planned.scratch(), tools, stop, progress)));
      }
    }
  }

  /// What a pass takes without a GPU and with one.
  private record Fit(
      PassMemory alone, PassMemory withDevice, List<Checkpoint> models, OptionalLong budget) {

    static Fit of(PassMemory.Work work, OptionalLong budget) {
      return new Fit(
          PassMemory.of(work, 0, budget),
          PassMemory.of(work, ProductOffload.HOST_BYTES, budget),
          work.models(),
          budget);
    }

    ProductOffload.Run run(Compute compute) {
      boolean hindered = withDevice.atOnce() < alone.atOnce();
      return new ProductOffload.Run(compute, withDevice.peak(), budget, hindered);
    }
  }

  private boolean conclude(Recipe recipe, OnePass.Result result) throws IOException {
    write(result.reports());
    Optional<String> uncovered = CoverageBound.failure(recipe, result.coverage());
    uncovered.ifPresent(terminal::message);
    return uncovered.isEmpty()
        && result.reports().values().stream().allMatch(report -> report.verdict().passed());
  }

  private static Verification.Request request(TargetSpec target, VerifyTexts texts) {
    Optional<BoundsSpec> own = target.bounds();
    return new Verification.Request(
        texts.sequences(),
        texts.documents(),
        true,
        own.flatMap(BoundsSpec::profile),
        inUse -> own.map(spec -> spec.over(inUse)).orElseGet(inUse::bounds),
        texts.eos(),
        false,
        texts.units());
  }

  private void tell(Plan plan, PassTexts texts) {
    terminal.message(
        "one pass: "
            + texts.calibration().sequences().size()
            + " sequences to calibrate with, "
            + texts.evaluation().sequences().size()
            + " to verify on");
    if (options.verify()) {
      plan.targets().stream()
          .map(TargetPlan::spec)
          .filter(spec -> spec.target().kind() == Target.Kind.EXPERTS)
          .forEach(spec ->
              terminal.message(
                  spec.name() + ": verified with everything but routed experts from the source"));
    }
  }

  private void write(Map<String, QualityReport> reports) throws IOException {
    if (options.verdicts().isEmpty()) {
      return;
    }
    Path folder = options.verdicts().get();
    Files.createDirectories(folder);
    for (Map.Entry<String, QualityReport> report : reports.entrySet()) {
      for (Format format : new Format[] {Format.JSON, Format.HTML}) {
        Reports.write(
            folder.resolve(report.getKey() + "." + format.label()),
            QualityRendering.render(format, report.getValue()));
      }
    }
  }
}
