package smelt.converter.diff;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.Map;
import java.util.OptionalLong;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;

/// Compares byte ranges of two models with two buffers of fixed size. For one thread.
final class ByteComparison implements AutoCloseable {

  private static final long CHUNK = 4L << 20;

  private final Arena arena = Arena.ofConfined();
  private final MemorySegment bufferA = arena.allocate(CHUNK);
  private final MemorySegment bufferB = arena.allocate(CHUNK);
  private final ModelSource sourceA;
  private final ModelSource sourceB;
  private final Map<String, ByteSource> openA = new HashMap<>();
  private final Map<String, ByteSource> openB = new HashMap<>();

  ByteComparison(ModelSource sourceA, ModelSource sourceB) {
    this.sourceA = sourceA;
    this.sourceB = sourceB;
  }

  /// The first byte, from the tensors' beginnings, at which two tensors of one size differ.
  OptionalLong firstDifference(SourceTensor a, SourceTensor b) throws IOException {
    return firstDifference(
        open(openA, sourceA, a.file()),
        a.offset(),
        open(openB, sourceB, b.file()),
        b.offset(),
        a.bytes());
  }

  /// Whether a file has the same bytes in both.
  boolean sameFile(String name) throws IOException {
    try (ByteSource a = sourceA.open(name);
        ByteSource b = sourceB.open(name)) {
      return a.size() == b.size() && firstDifference(a, 0, b, 0, a.size()).isEmpty();
    }
  }

  /// Refuses to trust the result when a shard was changed in the meantime.
  void checkUnchanged() throws IOException {
    for (ByteSource source : openA.values()) {
      source.checkUnchanged();
    }
    for (ByteSource source : openB.values()) {
      source.checkUnchanged();
    }
  }

  private OptionalLong firstDifference(
      ByteSource a, long offsetA, ByteSource b, long offsetB, long bytes) throws IOException {
    for (long done = 0; done < bytes; done += CHUNK) {
      long length = Math.min(CHUNK, bytes - done);
      MemorySegment chunkA = bufferA.asSlice(0, length);
      MemorySegment chunkB = bufferB.asSlice(0, length);
      a.read(offsetA + done, chunkA);
      b.read(offsetB + done, chunkB);
      long at = chunkA.mismatch(chunkB);
      if (at >= 0) {
        return OptionalLong.of(done + at);
      }
    }
    return OptionalLong.empty();
  }

  private static ByteSource open(Map<String, ByteSource> open, ModelSource source, String file)
      throws IOException {
    ByteSource known = open.get(file);
    if (known == null) {
      known = source.open(file);
      open.put(file, known);
    }
    return known;
  }

  @Override
  public void close() throws IOException {
    try (arena) {
      for (ByteSource source : openA.values()) {
        source.close();
      }
      for (ByteSource source : openB.values()) {
        source.close();
      }
    }
  }
}
