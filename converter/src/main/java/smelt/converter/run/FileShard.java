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
import java.util.concurrent.ConcurrentHashMap;
import java.util.zip.CRC32C;
import smelt.converter.plan.ShardLayout;
import smelt.converter.plan.TargetPlan;
import smelt.formats.files.AtomicFile;
import smelt.formats.files.Crc32c;
import smelt.formats.files.Sha256;

/// A shard that is one file with all its tensors.
final class FileShard implements ShardWriter {

  /// Checksum of one tile's bytes of a tensor.
  private record Piece(int crc32c, long bytes) {}

  private final TargetPlan.Shard shard;
  private final AtomicFile file;
  private final ForceBehind behind;
  private final Map<String, ConcurrentHashMap<Long, Piece>> pieces = new ConcurrentHashMap<>();

  private FileShard(TargetPlan.Shard shard, AtomicFile file, DiskForcer disk) {
    this.shard = shard;
    this.file = file;
    this.behind = new ForceBehind(disk, file::force, file.target());
  }

  /// Starts the shard in the target's folder, which must exist.
  static FileShard create(Path folder, TargetPlan.Shard shard, DiskForcer disk) throws IOException {
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
    FileShard writer = new FileShard(shard, file, disk);
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

  @Override
  public void write(String tensor, long offset, MemorySegment bytes) throws IOException {
    ShardLayout.Part part = shard.layout().part(tensor);
    Objects.checkFromIndexSize(offset, bytes.byteSize(), part.bytes());
    file.write(Math.addExact(part.offset(), offset), bytes);
    pieces
        .computeIfAbsent(tensor, _ -> new ConcurrentHashMap<>())
        .put(offset, new Piece(Crc32c.of(bytes), bytes.byteSize()));
    behind.wrote(bytes.byteSize());
  }

  @Override
  public Receipt.ShardDigest seal(int target) throws IOException {
    behind.await();
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
          String found = Crc32c.hex((int) crc.getValue());
          throw ShardWriter.unequal(file.target(), part.name(), found, Crc32c.hex(expected));
        }
        checksums.put(part.name(), Crc32c.hex(expected));
      }
      digest(end, shard.layout().fileSize() - end, buffer, sha256, new CRC32C());
    }
    return new Receipt.ShardDigest(
        target,
        shard.name(),
        shard.layout().fileSize(),
        Map.of(shard.name(), Sha256.hex(sha256)),
        checksums);
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

  @Override
  public void close() throws IOException {
    file.close();
  }
}
