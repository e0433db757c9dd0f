package smelt.converter.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import picocli.CommandLine.Option;
import smelt.calibrate.observe.CalibrationTable;
import smelt.formats.BadInputException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.source.ModelSource;

/// `--calibration`, the same for plan and convert.
final class CalibrationOption {

  @Option(
      names = "--calibration",
      paramLabel = "TABLE",
      description = "What smelt calibrate made of this model; for recipes that choose by it.")
  private Path folder;

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
