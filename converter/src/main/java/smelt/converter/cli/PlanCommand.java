package smelt.converter.cli;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import smelt.calibrate.observe.CalibrationTable;
import smelt.converter.plan.Plan;
import smelt.converter.plan.PlanJson;
import smelt.converter.plan.Planner;
import smelt.converter.recipe.Recipe;
import smelt.converter.recipe.Recipes;
import smelt.converter.run.DiskSpace;
import smelt.converter.run.MemoryPlan;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.source.ModelSource;

/// `smelt plan`: what a conversion will read and write, to the byte. Reads headers only and writes
/// nothing.
@Command(
    name = "plan",
    mixinStandardHelpOptions = true,
    description = "Show exactly what a conversion will write; write nothing.")
public final class PlanCommand implements Callable<Integer> {

  private final Terminal terminal;

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
      paramLabel = "OUT",
      description = "Also compare with the free disk space there.")
  private Path output;

  @Mixin private CalibrationOption calibration;

  @Mixin private RunOptions run;

  @Mixin private JsonOption json;

  public PlanCommand(Terminal terminal) {
    this.terminal = terminal;
  }

  @Override
  public Integer call() throws IOException {
    Recipe wanted = Recipes.load(recipe);
    try (ModelSource source = Models.open(model)) {
      Checkpoint checkpoint = Models.toConvert(source);
      Optional<CalibrationTable> table = calibration.open(checkpoint, source);
      Plan plan =
          Planner.plan(source, checkpoint, wanted, table.map(CalibrationTable::digest));
      Optional<CalibratedPlan> calibrated =
          table.map(t -> new CalibratedPlan(plan, checkpoint, source, t));
      MemoryPlan memory =
          MemoryPlan.of(
              plan,
              run.threads(),
              run.memory(),
              threads -> calibrated.map(c -> c.bytes(threads)).orElse(0L));
      if (output != null) {
        DiskSpace.require(plan, output);
      }
      show(terminal, json, plan, memory);
    }
    return ExitCode.OK.code();
  }

  /// Prints a plan, as JSON where that is wanted.
  static void show(Terminal terminal, JsonOption json, Plan plan, MemoryPlan memory)
      throws IOException {
    if (json.wanted()) {
      ByteArrayOutputStream text = new ByteArrayOutputStream();
      PlanJson.write(plan, text);
      terminal.answer(text.toString(StandardCharsets.UTF_8).stripTrailing());
    } else {
      PlanText.lines(plan, memory).forEach(terminal::answer);
    }
  }
}
