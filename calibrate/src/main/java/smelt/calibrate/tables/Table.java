package smelt.calibrate.tables;

import java.util.List;

/// Rows and columns that go to one file.
///
/// @param name of the file, without its ending
/// @param version goes up when a column changes its meaning or goes away
public record Table(String name, int version, int rows, List<Column> columns) {

  public Table {
    columns = List.copyOf(columns);
  }

  public String fileName() {
    return name + ".arrow";
  }

  /// The name and version that the file states, such as `tensors/1`.
  public String schemaName() {
    return name + "/" + version;
  }
}
