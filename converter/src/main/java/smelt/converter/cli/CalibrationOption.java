package smelt.converter.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;
import picocli.CommandLine;
import picocli.CommandLine.Option;
import smelt.calibrate.observe.CalibrationTable;
import smelt.calibrate.observe.HessianChoice;
import smelt.converter.recipe.Recipe;
import smelt.converter.recipe.Solver;
import smelt.converter.recipe.TargetSpec;
import smelt.formats.BadInputException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.source.ModelSource;

/// `--calibration`, the same for plan and convert.
final class CalibrationOption {

  @CommandLine.Spec(CommandLine.Spec.Target.MIXEE)
  private CommandLine.Model.CommandSpec command;

  @Option(
      names = "--calibration",
      paramLabel = "TABLE",
      description = "What smelt calibrate made of this model; for recipes that choose by it.")
  private Path folder;

  /// @param others options that a table does not go with
  /// @throws CommandLine.ParameterException if a table was named
  void refuseBeside(String others) {
    if (folder != null) {
      throw new CommandLine.ParameterException(
          command.commandLine(),
          "--calibration with " + others + ": verify the result with smelt verify");
    }
  }

  /// The table, if one was named.
  ///
  /// @throws BadInputException if it is none, one of another model, or lacks what the recipe needs
  Optional<CalibrationTable> open(Recipe recipe, Checkpoint checkpoint, ModelSource source)
      throws IOException {
    if (folder == null) {
      return Optional.empty();
    }
    CalibrationTable table = CalibrationTable.open(folder);
    table.requireModel(checkpoint, source);
    requireHessians(recipe, table.index().settings().hessians());
    return Optional.of(table);
  }

  /// A solver that has no second moments at all would be another one under its name.
  private void requireHessians(Recipe recipe, HessianChoice found) {
    for (TargetSpec target : recipe.targets()) {
      Solver solver = target.calibrated().strongest();
      HessianChoice wanted =
          switch (solver) {
            case ROUNDING, WEIGHTED -> HessianChoice.NONE;
            case GPTQ_POOL -> HessianChoice.POOL;
            case GPTQ -> HessianChoice.ALL;
          };
      if (found.compareTo(wanted) < 0) {
        throw new BadInputException(
            folder.toString(),
            "Hessians: " + found.name().toLowerCase(Locale.ROOT),
            wanted.name().toLowerCase(Locale.ROOT) + ", for solver " + solver.label(),
            "calibrate with --hessians "
                + wanted.name().toLowerCase(Locale.ROOT)
                + ", or take a solver that needs less");
      }
    }
  }
}
