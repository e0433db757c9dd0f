package smelt.verify;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.zip.CRC32C;
import smelt.formats.checkpoint.SourceTensor;

/// Looks at one tensor's bytes, piece by piece from the first to the last. For one thread.
final class TensorScan {

  private final SourceTensor tensor;
  private final boolean digests;
  private final CRC32C crc = new CRC32C();
  private final ValueCheck test;
  private final Map<Anomaly.Kind, Anomaly> anomalies = new EnumMap<>(Anomaly.Kind.class);
  private long position;

  TensorScan(SourceTensor tensor, boolean digests) {
    this.tensor = tensor;
    this.digests = digests;
    this.test = ValueCheck.of(tensor);
    this.position = tensor.offset();
  }

  SourceTensor tensor() {
    return tensor;
  }

  long begin() {
    return tensor.offset();
  }

  long end() {
    return tensor.offset() + tensor.bytes();
  }

  /// Where the last whole element of a chunk ends: the tensor's end, or less than one element
  /// before the chunk's end.
  long wholeElements(long chunkBegin, long chunkEnd) {
    if (end() <= chunkEnd) {
      return end();
    }
    long width = Math.max(1, tensor.type().bits() / 8);
    long whole = chunkEnd - (chunkEnd - tensor.offset()) % width;
    return Math.max(whole, chunkBegin);
  }

  /// Takes the tensor's bytes from where it stands to `end`.
  ///
  /// @param chunk holds the file's bytes from `chunkBegin` on
  void accept(MemorySegment chunk, long chunkBegin, long end) {
    if (end <= position) {
      return;
    }
    MemorySegment bytes = chunk.asSlice(position - chunkBegin, end - position);
    if (digests) {
      crc.update(bytes.asByteBuffer());
    }
    test.scan(bytes, (kind, offset, count, example) -> note(kind, offset, count, example));
    position = end;
  }

  private void note(Anomaly.Kind kind, long offset, long count, String example) {
    long width = Math.max(1, tensor.type().bits() / 8);
    long index = (position - tensor.offset() + offset) / width;
    anomalies.merge(
        kind,
        new Anomaly(kind, tensor, count, index, example),
        (old, more) ->
            new Anomaly(kind, tensor, old.count() + more.count(), old.first(), old.example()));
  }

  List<Anomaly> anomalies() {
    return new ArrayList<>(anomalies.values());
  }

  int crc32c() {
    return (int) crc.getValue();
  }
}
