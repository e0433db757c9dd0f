package smelt.converter.report;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Map;

/// Where reports are to be written.
///
/// @param files one file for each format that is wanted
public record Reports(Map<ReportFormat, Path> files) {

  public Reports {
    files = Map.copyOf(files);
  }

  /// Writes the report in each format; a file appears whole or not at all.
  public void write(Report report) throws IOException {
    for (Map.Entry<ReportFormat, Path> file : files.entrySet()) {
      write(file.getValue(), file.getKey().render(report));
    }
  }

  /// Writes one report's text; the file appears whole or not at all.
  public static void write(Path path, String text) throws IOException {
    Path file = path.toAbsolutePath();
    Path folder = file.getParent();
    Files.createDirectories(folder);
    Path beside = Files.createTempFile(folder, ".report-", ".tmp");
    try {
      Files.writeString(beside, text);
      Files.move(beside, file, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
    } finally {
      Files.deleteIfExists(beside);
    }
  }
}
