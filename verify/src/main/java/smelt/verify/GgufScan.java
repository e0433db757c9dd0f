package smelt.verify;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.zip.CRC32C;
import smelt.formats.files.Crc32c;
import smelt.formats.files.Sha256;
import smelt.formats.gguf.BlockScales;
import smelt.formats.gguf.GgmlType;
import smelt.formats.gguf.GgufParts;
import smelt.formats.source.ByteSource;

/// Reads every byte of GGUF files once, front to back: digests of files and tensors, and the first
/// block of each tensor that is not finite. Memory is one chunk.
final class GgufScan {

  private static final int CHUNK = 4 << 20;

  /// @param digests of files and tensors; anomalies of it are none
  record Result(DataScan.Result digests, List<GgufFacts.NonFinite> nonFinite) {}

  private final Map<String, String> sha256 = new HashMap<>();
  private final Map<String, Integer> crc32c = new HashMap<>();
  private final List<GgufFacts.NonFinite> nonFinite = new ArrayList<>();
  private long bytesRead;

  private GgufScan() {}

  static Result run(Facts facts, GgufParts parts) throws IOException {
    GgufScan scan = new GgufScan();
    SortedSet<String> files = new TreeSet<>();
    facts.manifest().value().ifPresent(m -> m.files().forEach(file -> files.add(file.name())));
    parts.parts().forEach(part -> files.add(part.file()));
    files.retainAll(facts.source().names());
    for (String name : files) {
      List<GgufParts.Located> tensors =
          parts.tensors().stream()
              .filter(located -> located.file().equals(name))
              .sorted(Comparator.comparingLong(GgufParts.Located::offset))
              .toList();
      try (ByteSource file = facts.source().open(name)) {
        scan.file(file, tensors);
      }
    }
    DataScan.Result digests =
        new DataScan.Result(List.of(), scan.sha256, scan.crc32c, scan.bytesRead);
    return new Result(digests, scan.nonFinite);
  }

  private void file(ByteSource file, List<GgufParts.Located> tensors) throws IOException {
    MessageDigest digest = Sha256.start();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment buffer = arena.allocate(CHUNK, 64);
      long at = 0;
      for (GgufParts.Located located : tensors) {
        at = pass(file, at, located.offset(), buffer, digest);
        at = tensor(file, located, buffer, digest);
      }
      pass(file, at, file.size(), buffer, digest);
    }
    file.checkUnchanged();
    sha256.put(file.name(), Sha256.hex(digest));
    bytesRead += file.size();
  }

  /// @return `end`
  private static long pass(
      ByteSource file, long begin, long end, MemorySegment buffer, MessageDigest digest)
      throws IOException {
    for (long at = begin; at < end; at += CHUNK) {
      MemorySegment chunk = buffer.asSlice(0, Math.min(CHUNK, end - at));
      file.read(at, chunk);
      digest.update(chunk.asByteBuffer());
    }
    return end;
  }

  /// @return where the tensor ends
  private long tensor(
      ByteSource file, GgufParts.Located located, MemorySegment buffer, MessageDigest digest)
      throws IOException {
    GgmlType type = located.tensor().type();
    CRC32C crc = new CRC32C();
    long step = (long) CHUNK / type.groupBytes() * type.groupBytes();
    Optional<Long> broken = Optional.empty();
    long bytes = located.tensor().bytes();
    for (long at = 0; at < bytes; at += step) {
      MemorySegment chunk = buffer.asSlice(0, Math.min(step, bytes - at));
      file.read(located.offset() + at, chunk);
      digest.update(chunk.asByteBuffer());
      Crc32c.update(crc, chunk);
      if (broken.isEmpty()) {
        OptionalLong block = BlockScales.firstNonFinite(type, chunk);
        if (block.isPresent()) {
          broken = Optional.of(at / type.groupBytes() + block.getAsLong());
        }
      }
    }
    crc32c.put(located.tensor().name(), (int) crc.getValue());
    broken.ifPresent(block ->
        nonFinite.add(new GgufFacts.NonFinite(file.name(), located.tensor().name(), type, block)));
    return located.offset() + bytes;
  }
}
