package smelt.converter.cli;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import smelt.calibrate.observe.CalibrationTable;
import smelt.converter.tuning.ImatrixExport;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.imatrix.Imatrix;

/// The importance matrix that `smelt calibrate --imatrix` writes.
final class ImatrixFile {

  private ImatrixFile() {}

  /// Writes what a table says: the older kind where the name ends in `.dat`, else the GGUF kind.
  /// The file appears whole, in place of one that was there.
  static void write(CalibrationTable table, Checkpoint checkpoint, Path file) throws IOException {
    Imatrix imatrix = ImatrixExport.of(table, checkpoint);
    Path part = file.resolveSibling("." + file.getFileName() + ".part");
    try {
      try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(part))) {
        if (file.toString().endsWith(".dat")) {
          imatrix.writeLegacy(out);
        } else {
          imatrix.writeGguf(out);
        }
      }
      Files.move(part, file, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(part);
    }
  }
}
