package smelt.calibrate.observe;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.tables.ArrowFile;
import smelt.calibrate.tables.Table;
import smelt.formats.BadInputException;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.formats.files.AtomicFile;
import smelt.formats.files.Sha256;
import smelt.formats.safetensors.SafetensorsLayout;

/// Writes and reads the files of a calibration table. Each file appears whole.
public final class TableFiles {

  /// The folders in a table's folder.
  public static final List<String> FOLDERS =
      List.of(
          LayerTables.SITES,
          LayerTables.CHANNELS,
          LayerTables.HISTOGRAMS,
          LayerTables.EXPERTS,
          "hessians");

  /// Names of the files in these folders, finished or not.
  private static final Pattern OURS =
      Pattern.compile("\\.?\\d{5}\\.([\\w.]+\\.)?(arrow|safetensors)(\\.part)?");

  private static final String TENSOR = "hessian";
  private static final long ROWS = 64;
  private static final int CHUNK = 1 << 20;

  private TableFiles() {}

  /// Writes the tables of a layer, but not its Hessians.
  ///
  /// @param folder the table's; folders in it are made
  public static List<TableIndex.FileEntry> write(Path folder, LayerObserver observer)
      throws IOException {
    observer.requireFinite();
    List<TableIndex.FileEntry> files = new ArrayList<>();
    for (Table table : new LayerTables(observer).all()) {
      String name = TableIndex.path(table.name(), observer.layer());
      Path file = folder.resolve(name);
      Files.createDirectories(file.getParent());
      ArrowFile.write(table, Map.of(ArrowFile.SCHEMA, table.schemaName()), file);
      files.add(entry(folder, name));
    }
    return files;
  }

  /// Writes the Hessian of a site, and that of its tokens held out where there were any. The
  /// observer must keep it.
  public static List<TableIndex.FileEntry> writeHessians(
      Path folder, LayerObserver observer, Site site) throws IOException {
    List<TableIndex.FileEntry> files = new ArrayList<>();
    HessianSums own = observer.hessianSums(site).orElseThrow();
    SafetensorsLayout layout = layout(site, Sites.tensor(site), own.tokens(), own.channels());
    files.add(write(folder, TableIndex.hessianPath(site), layout, own, observer));
    Optional<HessianSums> held = observer.heldOutSums(site);
    if (held.isPresent()) {
      layout = layout(site, Sites.heldOut(site), held.get().tokens(), own.channels());
      files.add(write(folder, TableIndex.heldOutPath(site), layout, held.get(), observer));
    }
    return files;
  }

  private static TableIndex.FileEntry write(
      Path folder, String name, SafetensorsLayout layout, HessianSums sums, LayerObserver observer)
      throws IOException {
    Path file = folder.resolve(name);
    Files.createDirectories(file.getParent());
    try (AtomicFile out = AtomicFile.create(file, layout.fileSize());
        Arena arena = Arena.ofShared()) {
      out.write(0, MemorySegment.ofArray(layout.header()));
      Matrix rows = Matrix.zeros(arena, Math.min(ROWS, sums.channels()), sums.channels());
      for (long first = 0; first < sums.channels(); first += ROWS) {
        long count = Math.min(ROWS, sums.channels() - first);
        sums.rows(observer.compute(), first, rows.rows(0, count));
        out.write(
            layout.header().length + Matrix.bytes(first, sums.channels()),
            rows.data().asSlice(0, Matrix.bytes(count, sums.channels())));
      }
      out.commit();
    }
    return entry(folder, name);
  }

  /// Writes `calibration.json`, which makes the folder a table: last of all.
  public static void writeIndex(Path folder, TableIndex index) throws IOException {
    AtomicFile.writeWhole(folder.resolve(TableIndex.FILE), index.json());
  }

  /// Removes files of a table from its folders that are not in a list: what a run with another text
  /// left, or a killed one.
  public static void removeOthers(Path folder, List<TableIndex.FileEntry> kept) throws IOException {
    Set<Path> keep =
        kept.stream().map(entry -> folder.resolve(entry.name())).collect(Collectors.toSet());
    for (String name : FOLDERS) {
      Path part = folder.resolve(name);
      if (Files.isDirectory(part)) {
        try (Stream<Path> files = Files.list(part)) {
          for (Path file : files.filter(file -> !keep.contains(file)).toList()) {
            if (OURS.matcher(file.getFileName().toString()).matches()) {
              Files.delete(file);
            }
          }
        }
      }
    }
  }

  /// Bytes of memory that writing a Hessian takes.
  static long rowBytes(long channels) {
    return Matrix.bytes(Math.min(ROWS, channels), channels);
  }

  private static SafetensorsLayout layout(Site site, String name, long tokens, long channels) {
    return SafetensorsLayout.of(
        List.of(
            new SafetensorsLayout.Tensor(TENSOR, ElementType.F32, Shape.of(channels, channels))),
        new TreeMap<>(
            Map.of(
                "layer", Integer.toString(site.layer()),
                "site", name,
                "tokens", Long.toString(tokens))));
  }

  /// Reads a Hessian into memory, whose size and tokens are known from elsewhere.
  static Hessian readHessian(Path folder, Site site, long tokens, Matrix into) throws IOException {
    Path file = folder.resolve(TableIndex.hessianPath(site));
    return read(file, layout(site, Sites.tensor(site), tokens, into.rows()), tokens, into);
  }

  /// Reads one of tokens held out.
  static Hessian readHeldOut(Path folder, Site site, long tokens, Matrix into) throws IOException {
    Path file = folder.resolve(TableIndex.heldOutPath(site));
    return read(file, layout(site, Sites.heldOut(site), tokens, into.rows()), tokens, into);
  }

  private static Hessian read(Path file, SafetensorsLayout layout, long tokens, Matrix into)
      throws IOException {
    try (FileChannel channel = FileChannel.open(file)) {
      byte[] header = new byte[layout.header().length];
      fill(channel, 0, MemorySegment.ofArray(header), file);
      if (!Arrays.equals(header, layout.header()) || channel.size() != layout.fileSize()) {
        throw damaged(file, "another header or size");
      }
      fill(
          channel,
          header.length,
          into.data().asSlice(into.offset(), Matrix.bytes(into.rows(), into.cols())),
          file);
    }
    return new Hessian(tokens, into);
  }

  private static void fill(FileChannel channel, long offset, MemorySegment into, Path file)
      throws IOException {
    long at = 0;
    while (at < into.byteSize()) {
      long count = Math.min(CHUNK, into.byteSize() - at);
      int read = channel.read(into.asSlice(at, count).asByteBuffer(), offset + at);
      if (read < 0) {
        throw damaged(file, "an end at byte " + (offset + at));
      }
      at += read;
    }
  }

  /// What a file of the folder is.
  static TableIndex.FileEntry entry(Path folder, String name) throws IOException {
    Path file = folder.resolve(name);
    MessageDigest digest = Sha256.start();
    byte[] buffer = new byte[CHUNK];
    try (InputStream in = Files.newInputStream(file)) {
      for (int count = in.read(buffer); count >= 0; count = in.read(buffer)) {
        digest.update(buffer, 0, count);
      }
    }
    return new TableIndex.FileEntry(name, Files.size(file), Sha256.hex(digest));
  }

  /// @throws BadInputException if a file is missing or holds other bytes
  static void requireSame(Path folder, TableIndex.FileEntry expected) throws IOException {
    requireSize(folder, expected);
    if (!entry(folder, expected.name()).equals(expected)) {
      throw damaged(folder.resolve(expected.name()), "bytes with another SHA-256");
    }
  }

  /// @throws BadInputException if a file is missing or has another size
  static void requireSize(Path folder, TableIndex.FileEntry expected) throws IOException {
    Path file = folder.resolve(expected.name());
    if (!Files.isRegularFile(file)) {
      throw damaged(file, "no file");
    }
    if (Files.size(file) != expected.bytes()) {
      throw damaged(file, Files.size(file) + " bytes");
    }
  }

  private static BadInputException damaged(Path file, String found) {
    return new BadInputException(
        file.toString(),
        found,
        "the file that " + TableIndex.FILE + " lists",
        "copy the folder again, or make it again: smelt calibrate");
  }
}
