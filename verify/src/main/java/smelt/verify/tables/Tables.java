package smelt.verify.tables;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import smelt.calibrate.tables.ArrowFile;
import smelt.calibrate.tables.Table;
import smelt.verify.quality.QualityReport;
import smelt.verify.quality.Subject;

/// Writes a report's figures as Arrow IPC files: `tensors.arrow`, `layers.arrow`, `tokens.arrow`,
/// `experts.arrow`. Without inference the last three have no rows.
///
/// The same report gives the same bytes. Arrow needs a JVM that was started with
/// `--add-opens=java.base/java.nio=ALL-UNNAMED` and `--sun-misc-unsafe-memory-access=allow`.
public final class Tables {

  private Tables() {}

  /// Writes all tables. Each appears whole, in the place of one that was there before.
  ///
  /// @param folder made if it does not exist
  /// @return the files
  public static List<Path> write(Path folder, QualityReport report) throws IOException {
    Files.createDirectories(folder);
    List<Path> files = new ArrayList<>();
    for (Table table : Schemas.of(report)) {
      Path file = folder.resolve(table.fileName());
      ArrowFile.write(table, metadata(table, report), file);
      files.add(file);
    }
    return files;
  }

  private static Map<String, String> metadata(Table table, QualityReport report) {
    Subject subject = report.subject();
    Map<String, String> metadata = new TreeMap<>();
    metadata.put("smelt.schema", table.schemaName());
    metadata.put("smelt.version", subject.version());
    metadata.put("smelt.source", subject.source());
    metadata.put("smelt.result", subject.result());
    metadata.put("smelt.scheme", subject.scheme());
    metadata.put("smelt.activations", subject.activations());
    metadata.put("smelt.profile", report.verdict().profile());
    return metadata;
  }
}
