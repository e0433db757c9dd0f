package smelt.converter.run;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.zip.CRC32C;
import smelt.converter.plan.ShardLayout;
import smelt.converter.plan.TargetPlan;
import smelt.formats.files.AtomicFile;
import smelt.formats.files.Crc32c;
import smelt.formats.files.Sha256;

/// One shard being written. Tiles arrive from several threads in any order, each at its planned
/// offset; when all are there, one thread seals the shard.
///
/// The checksum of every tensor is made twice: from the tiles in memory as they are written, and
/// from the file as it is read back. They must agree before the shard gets its name.
final class ShardWriter implements AutoCloseable {

  /// Checksum of one tile's bytes of a tensor.
  private record Piece(int crc32c, long bytes) {}

  /// Bytes that may wait in memory for the disk before they are forced to it.
  private static final long FORCE_EVERY = 64L << 20;

  private final TargetPlan.Shard shard;
  private final AtomicFile file;
  private final DiskForcer disk;
  private final Map<String, ConcurrentHashMap<Long, Piece>> pieces = new ConcurrentHashMap<>();

  private long unforced;
  private Future<?> forced = CompletableFuture.completedFuture(null);

  private ShardWriter(TargetPlan.Shard shard, AtomicFile file, DiskForcer disk) {
    this.shard = shard;
    this.file = file;
    this.disk = disk;
  }

  /// Starts the shard in the target's folder, which must exist.
  static ShardWriter create(Path folder, TargetPlan.Shard shard, DiskForcer disk)
      throws IOException {
    ShardLayout layout = shard.layout();
    AtomicFile file = AtomicFile.create(folder.resolve(shard.name()), layout.fileSize());
    try {
      file.write(0, MemorySegment.ofArray(layout.header()));
      for (Gap gap : gaps(layout)) {
        file.write(gap.offset(), MemorySegment.ofArray(new byte[gap.bytes()]));
      }
    } catch (IOException e) {
      file.close();
      throw e;
    }
    ShardWriter writer = new ShardWriter(shard, file, disk);
    try (Arena arena = Arena.ofConfined()) {
      for (Map.Entry<String, byte[]> constant : shard.constants().entrySet()) {
        MemorySegment bytes = arena.allocateFrom(ValueLayout.JAVA_BYTE, constant.getValue());
        writer.write(constant.getKey(), 0, bytes);
      }
    } catch (IOException e) {
      writer.close();
      throw e;
    }
    return writer;
  }

  /// Zeros between or behind the tensors.
  private record Gap(long offset, int bytes) {}

  private static List<Gap> gaps(ShardLayout layout) {
    List<Gap> gaps = new ArrayList<>();
    long end = layout.header().length;
    for (ShardLayout.Part part : layout.parts()) {
      if (part.offset() > end) {
        gaps.add(new Gap(end, Math.toIntExact(part.offset() - end)));
      }
      end = part.offset() + part.bytes();
    }
    if (layout.fileSize() > end) {
      gaps.add(new Gap(end, Math.toIntExact(layout.fileSize() - end)));
    }
    return gaps;
  }

  /// Writes part of a tensor.
  ///
  /// @param offset first byte, from the start of the tensor
  /// @param bytes native segment
  void write(String tensor, long offset, MemorySegment bytes) throws IOException {
    ShardLayout.Part part = shard.layout().part(tensor);
    Objects.checkFromIndexSize(offset, bytes.byteSize(), part.bytes());
    file.write(Math.addExact(part.offset(), offset), bytes);
    pieces
        .computeIfAbsent(tensor, _ -> new ConcurrentHashMap<>())
        .put(offset, new Piece(Crc32c.of(bytes), bytes.byteSize()));
    forceBehind(bytes.byteSize());
  }

  private synchronized void forceBehind(long bytes) throws IOException {
    unforced += bytes;
    if (unforced >= FORCE_EVERY && forced.isDone()) {
      awaitForced();
      unforced = 0;
      forced = disk.force(file);
    }
  }

  /// Waits for the disk, and passes its failure on.
  private synchronized void awaitForced() throws IOException {
    try {
      forced.get();
    } catch (ExecutionException e) {
      switch (e.getCause()) {
        case IOException cause -> throw cause;
        case RuntimeException cause -> throw cause;
        case Error cause -> throw cause;
        default -> throw new IllegalStateException(e.getCause());
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new java.io.InterruptedIOException(file.target() + ": interrupted");
    }
  }

  /// Forces the shard to disk, reads it back, compares, and gives it its name.
  ///
  /// @throws IOException if the disk does not hold what was written; the shard is discarded
  Receipt.ShardDigest seal(int target) throws IOException {
    awaitForced();
    file.force();
    Receipt.ShardDigest digest = readBack(target);
    file.commit();
    return digest;
  }

  private Receipt.ShardDigest readBack(int target) throws IOException {
    MessageDigest sha256 = Sha256.start();
    TreeMap<String, String> checksums = new TreeMap<>();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment buffer = arena.allocate(MemoryPlan.SEAL_BYTES);
      long end = 0;
      for (ShardLayout.Part part : shard.layout().parts()) {
        digest(end, part.offset() - end, buffer, sha256, new CRC32C());
        CRC32C crc = new CRC32C();
        digest(part.offset(), part.bytes(), buffer, sha256, crc);
        end = part.offset() + part.bytes();
        int expected = written(part);
        if ((int) crc.getValue() != expected) {
          throw new IOException(
              file.target()
                  + ": tensor "
                  + part.name()
                  + " reads back as "
                  + Crc32c.hex((int) crc.getValue())
                  + " but "
                  + Crc32c.hex(expected)
                  + " was written; check the disk and the memory of this machine");
        }
        checksums.put(part.name(), Crc32c.hex(expected));
      }
      digest(end, shard.layout().fileSize() - end, buffer, sha256, new CRC32C());
    }
    return new Receipt.ShardDigest(
        target, shard.name(), shard.layout().fileSize(), Sha256.hex(sha256), checksums);
  }

  private void digest(
      long offset, long bytes, MemorySegment buffer, MessageDigest sha256, CRC32C crc)
      throws IOException {
    for (long done = 0; done < bytes; done += buffer.byteSize()) {
      MemorySegment chunk = buffer.asSlice(0, Math.min(buffer.byteSize(), bytes - done));
      file.read(offset + done, chunk);
      sha256.update(chunk.asByteBuffer());
      crc.update(chunk.asByteBuffer());
    }
  }

  private int written(ShardLayout.Part part) {
    int crc = 0;
    long at = 0;
    Map<Long, Piece> written = pieces.getOrDefault(part.name(), new ConcurrentHashMap<>());
    while (at < part.bytes()) {
      Piece piece = written.get(at);
      if (piece == null) {
        throw new IllegalStateException(
            file.target() + ": nothing was written at " + at + " of " + part.name());
      }
      crc = Crc32c.combine(crc, piece.crc32c(), piece.bytes());
      at += piece.bytes();
    }
    return crc;
  }

  /// Removes the unfinished shard; does nothing once it was sealed.
  @Override
  public void close() throws IOException {
    file.close();
  }
}
