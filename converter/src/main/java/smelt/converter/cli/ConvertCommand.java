package smelt.converter.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import smelt.converter.plan.Plan;
import smelt.converter.plan.Planner;
import smelt.converter.recipe.Recipe;
import smelt.converter.recipe.Recipes;
import smelt.converter.run.AnonymousMemory;
import smelt.converter.run.HeapThrift;
import smelt.converter.run.OutputFolder;
import smelt.converter.run.ZeroOffsets;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.source.ModelSource;

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

  @Mixin private KernelOption kernels;

  @Mixin private CalibrationOption calibration;

  @Mixin private OnePassOptions onePass;

  @Mixin private DeviceOption device;

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
    onePass.check();
    Recipe wanted = Recipes.load(recipe);
    Execution execution =
        new Execution(
            "convert",
            terminal,
            interruption,
            kernels.chosen(),
            device,
            run,
            quiet,
            json,
            report.reports());
    try (HeapThrift _ = new HeapThrift();
        AnonymousMemory watched = new AnonymousMemory();
        ModelSource source = Models.open(model)) {
      OutputFolder.refuseOverlap(output, model);
      if (onePass.isWanted()) {
        calibration.refuseBeside("--corpus and --verify");
        boolean passed =
            new OnePassConversion(terminal, onePass, kernels.chosen(), device, run)
                .carryOut(source, wanted, output, execution, watched);
        return (passed ? ExitCode.OK : ExitCode.BOUND_FAILED).code();
      }
      Checkpoint checkpoint = Models.toConvert(source);
      Optional<ChosenBy> by = calibration.open(wanted, checkpoint, source);
      Optional<String> uncovered = by.flatMap(found -> CoverageBound.failure(wanted, found));
      if (uncovered.isPresent()) {
        terminal.message(uncovered.get());
        return ExitCode.BOUND_FAILED.code();
      }
      Plan plan = Planner.plan(source, checkpoint, wanted, by.map(ChosenBy::digest));
      ZeroOffsets.require(source, checkpoint);
      execution.carryOut(
          source,
          plan,
          by.map(found -> new CalibratedPlan(plan, checkpoint, source, found)),
          output,
          watched);
    }
    return ExitCode.OK.code();
  }
}
