package smelt.converter.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import picocli.CommandLine;
import picocli.CommandLine.Option;
import smelt.calibrate.observe.CalibrationTable;
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
  /// @throws BadInputException if it is none, or one of another model
  Optional<CalibrationTable> open(Checkpoint checkpoint, ModelSource source) throws IOException {
    if (folder == null) {
      return Optional.empty();
    }
    CalibrationTable table = CalibrationTable.open(folder);
    table.requireModel(checkpoint, source);
    return Optional.of(table);
  }
}
