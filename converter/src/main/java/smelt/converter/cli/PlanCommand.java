package smelt.converter.cli;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import smelt.calibrate.cost.Rates;
import smelt.converter.plan.Estimate;
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

  @Option(
      names = "--assume",
      paramLabel = "RATES",
      converter = Assumed.Converter.class,
      description = {
        "Also tell time, memory and tokens on a machine: disk=3GB/s,compute=4TFLOPS. More, with",
        "commas: write=1GB/s, tokens=32768, sequence=2048, moments (sum second moments, solve GPTQ).",
        "'measure' in place of disk and compute measures them here."
      })
  private Assumed assumed;

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
      Optional<ChosenBy> by = calibration.open(wanted, checkpoint, source);
      Plan plan = Planner.plan(source, checkpoint, wanted, by.map(ChosenBy::digest));
      Optional<CalibratedPlan> calibrated =
          by.map(found -> new CalibratedPlan(plan, checkpoint, source, found));
      MemoryPlan memory =
          MemoryPlan.of(
              plan,
              run.threads(),
              run.memory(),
              threads -> calibrated.map(c -> c.bytes(threads)).orElse(0L));
      if (output != null) {
        DiskSpace.require(plan, output);
      }
      show(terminal, json, plan, memory, estimate(plan, checkpoint, source));
    }
    return ExitCode.OK.code();
  }

  private Optional<Estimate> estimate(Plan plan, Checkpoint checkpoint, ModelSource source)
      throws IOException {
    if (assumed == null) {
      return Optional.empty();
    }
    Rates rates = RateMeter.rates(assumed, checkpoint, source, run.threads());
    return Optional.of(Estimate.of(plan, checkpoint, rates, assumed.text()));
  }

  /// Prints a plan, as JSON where that is wanted.
  static void show(Terminal terminal, JsonOption json, Plan plan, MemoryPlan memory)
      throws IOException {
    show(terminal, json, plan, memory, Optional.empty());
  }

  private static void show(
      Terminal terminal, JsonOption json, Plan plan, MemoryPlan memory, Optional<Estimate> estimate)
      throws IOException {
    if (json.wanted()) {
      ByteArrayOutputStream text = new ByteArrayOutputStream();
      PlanJson.write(plan, estimate, text);
      terminal.answer(text.toString(StandardCharsets.UTF_8).stripTrailing());
    } else {
      PlanText.lines(plan, memory).forEach(terminal::answer);
      estimate.map(EstimateText::lines).orElse(List.of()).forEach(terminal::answer);
    }
  }
}
