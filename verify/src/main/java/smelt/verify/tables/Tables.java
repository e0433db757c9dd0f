package smelt.verify.tables;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.WritableByteChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import smelt.formats.files.AtomicFile;
import smelt.verify.quality.QualityReport;
import smelt.verify.quality.Subject;

/// Writes a report's figures as Arrow IPC files: `tensors.arrow`, `layers.arrow`, `tokens.arrow`,
/// `experts.arrow`. Without inference the last three have no rows.
///
/// The same report gives the same bytes. Arrow needs a JVM that was started with
/// `--add-opens=java.base/java.nio=ALL-UNNAMED` and `--sun-misc-unsafe-memory-access=allow`.
public final class Tables {

  /// No batch of any table takes as much memory outside the heap.
  private static final long MEMORY = 256L << 20;

  private Tables() {}

  /// Writes all tables. Each appears whole, in the place of one that was there before.
  ///
  /// @param folder made if it does not exist
  /// @return the files
  public static List<Path> write(Path folder, QualityReport report) throws IOException {
    Files.createDirectories(folder);
    List<Path> files = new ArrayList<>();
    try (BufferAllocator allocator = new RootAllocator(MEMORY)) {
      for (Table table : Schemas.of(report)) {
        Path file = folder.resolve(table.fileName());
        write(table, metadata(table, report), allocator, file);
        files.add(file);
      }
    }
    return files;
  }

  /// Writes twice: first to know the size, then to the file.
  private static void write(
      Table table, Map<String, String> metadata, BufferAllocator allocator, Path file)
      throws IOException {
    Counter counter = new Counter();
    ArrowTable.write(table, metadata, allocator, counter);
    try (AtomicFile out = AtomicFile.create(file, counter.bytes())) {
      ArrowTable.write(table, metadata, allocator, new Sink(out));
      out.commit();
    }
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

  /// Counts what would be written.
  private static final class Counter implements WritableByteChannel {
    private long bytes;

    long bytes() {
      return bytes;
    }

    @Override
    public int write(ByteBuffer from) {
      int count = from.remaining();
      from.position(from.limit());
      bytes += count;
      return count;
    }

    @Override
    public boolean isOpen() {
      return true;
    }

    @Override
    public void close() {}
  }

  /// Appends to a file, which stays open.
  private static final class Sink implements WritableByteChannel {
    private final AtomicFile file;
    private long at;

    Sink(AtomicFile file) {
      this.file = file;
    }

    @Override
    public int write(ByteBuffer from) throws IOException {
      MemorySegment bytes = MemorySegment.ofBuffer(from);
      file.write(at, bytes);
      from.position(from.limit());
      at += bytes.byteSize();
      return Math.toIntExact(bytes.byteSize());
    }

    @Override
    public boolean isOpen() {
      return true;
    }

    @Override
    public void close() {}
  }
}
