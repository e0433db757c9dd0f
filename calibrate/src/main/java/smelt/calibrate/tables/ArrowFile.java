package smelt.calibrate.tables;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.WritableByteChannel;
import java.nio.file.Path;
import java.util.Map;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import smelt.formats.files.AtomicFile;

/// A table as an Arrow IPC file. The same table gives the same bytes.
///
/// Arrow needs a JVM that was started with `--add-opens=java.base/java.nio=ALL-UNNAMED` and
/// `--sun-misc-unsafe-memory-access=allow`.
public final class ArrowFile {

  /// The key of the schema's metadata under which a table states its name and version.
  public static final String SCHEMA = "smelt.schema";

  /// Rows of a record batch, but for the last: what lies outside the heap is one batch.
  public static final int BATCH = 1 << 16;

  /// No batch of any table takes as much memory outside the heap.
  static final long MEMORY = 256L << 20;

  private ArrowFile() {}

  /// Writes a file, which appears whole, in the place of one that was there before. The table is
  /// gone through twice: first to know the size.
  ///
  /// @param metadata goes into the schema
  public static void write(Table table, Map<String, String> metadata, Path file)
      throws IOException {
    try (BufferAllocator allocator = new RootAllocator(MEMORY)) {
      Counter counter = new Counter();
      ArrowTable.write(table, metadata, allocator, counter);
      try (AtomicFile out = AtomicFile.create(file, counter.bytes())) {
        ArrowTable.write(table, metadata, allocator, new Sink(out));
        out.commit();
      }
    }
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
