package smelt.converter.run;

import java.io.IOException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.stream.Stream;
import smelt.calibrate.observe.CalibrationTable;
import smelt.calibrate.observe.TableFiles;
import smelt.calibrate.observe.TableIndex;
import smelt.converter.OutputConflictException;

/// The folder that a calibration writes, and what of it is already there.
///
/// While it is unfinished it holds `.smelt/`: the lock, hidden states, and a receipt for each
/// finished layer. `calibration.json` comes last: before that no one finds a table here.
public final class TableFolder implements AutoCloseable {

  private static final String LOCK = "lock";

  private final Path path;
  private final FolderLock lock;
  private final boolean complete;

  private TableFolder(Path path, FolderLock lock, boolean complete) {
    this.path = path;
    this.lock = lock;
    this.complete = complete;
  }

  /// Opens the folder and keeps other runs out until it is closed.
  ///
  /// @param isSame whether a finished table is the one that is to be made
  /// @throws OutputConflictException if another run is at work there, or it holds another table, or
  ///   files that are not ours
  public static TableFolder open(Path path, Predicate<TableIndex> isSame) throws IOException {
    refuseStrangers(path);
    OutputFolder.makeFolder(path);
    FolderLock lock = FolderLock.take(path.resolve(OutputFolder.WORK).resolve(LOCK));
    try {
      boolean complete = Files.exists(path.resolve(TableIndex.FILE));
      if (complete && !isSame.test(CalibrationTable.open(path).index())) {
        throw new OutputConflictException(
            path.toString(),
            "a calibration table of another model, text or settings",
            "an empty folder, or an unfinished run of the same command",
            "choose another output, or remove this one yourself");
      }
      return new TableFolder(path, lock, complete);
    } catch (IOException | RuntimeException e) {
      try (lock) {
        removeBareWorkFolder(path.resolve(OutputFolder.WORK));
      }
      throw e;
    }
  }

  private static void refuseStrangers(Path path) throws IOException {
    if (Files.exists(path) && !Files.isDirectory(path)) {
      throw new OutputConflictException(
          path.toString(), "a file", "a folder, or nothing", "choose another output");
    }
    if (!Files.isDirectory(path)) {
      return;
    }
    TreeSet<String> names = new TreeSet<>();
    try (Stream<Path> entries = Files.list(path)) {
      entries.forEach(entry -> names.add(entry.getFileName().toString()));
    }
    boolean ours = names.contains(OutputFolder.WORK) || names.contains(TableIndex.FILE);
    names.removeAll(TableFiles.FOLDERS);
    names.removeAll(List.of(OutputFolder.WORK, TableIndex.FILE));
    if (!names.isEmpty() || (!ours && hasEntries(path))) {
      throw new OutputConflictException(
          path.toString(),
          "files that are not of a calibration"
              + (names.isEmpty() ? "" : ", such as " + names.first()),
          "an empty folder, or an unfinished run of the same command",
          "choose another output, or empty this one yourself");
    }
  }

  private static boolean hasEntries(Path path) throws IOException {
    try (Stream<Path> entries = Files.list(path)) {
      return entries.findAny().isPresent();
    }
  }

  /// Whether the folder already holds the whole table.
  public boolean isComplete() {
    return complete;
  }

  /// Where hidden states and receipts lie while the table is made.
  public Path work() {
    return path.resolve(OutputFolder.WORK);
  }

  /// Removes what only an unfinished table needs.
  public void finish() throws IOException {
    try (Stream<Path> files = Files.walk(work())) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        if (!file.equals(work())) {
          Files.deleteIfExists(file);
        }
      }
    }
    removeEmpty(work());
  }

  private static void removeBareWorkFolder(Path work) throws IOException {
    List<String> names;
    try (Stream<Path> files = Files.list(work)) {
      names = files.map(f -> f.getFileName().toString()).toList();
    }
    if (names.equals(List.of(LOCK))) {
      Files.deleteIfExists(work.resolve(LOCK));
      removeEmpty(work);
    }
  }

  /// With the lock file gone, the next run may already have put its own there.
  private static void removeEmpty(Path folder) throws IOException {
    try {
      Files.deleteIfExists(folder);
    } catch (DirectoryNotEmptyException _) {
      // the next run removes it
    }
  }

  @Override
  public void close() throws IOException {
    lock.close();
  }
}
