package smelt.converter.gguf;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import smelt.formats.gguf.GgmlType;
import smelt.formats.gguf.GgufParts;
import smelt.formats.gguf.InterleavedRows;
import smelt.formats.source.SourceFiles;

/// Rows of a tensor of GGUF, each by itself.
final class StoredRows {

  private StoredRows() {}

  /// The blocks of consecutive rows, row by row, as bytes of the plain type. Of rows that are
  /// interleaved whole groups are read.
  static MemorySegment read(SourceFiles files, GgufParts.Located located, long first, long rows)
      throws IOException {
    GgmlType type = located.tensor().type();
    int together = type.interleavedRows();
    long rowBytes = located.tensor().rowBytes();
    long from = first / together * together;
    long count = Math.ceilDiv(first + rows, (long) together) * together - from;
    MemorySegment stored = bytes(Math.multiplyExact(count, rowBytes));
    files.file(located.file()).read(located.offset() + from * rowBytes, stored);
    if (together == 1) {
      return stored;
    }
    MemorySegment separated = bytes(stored.byteSize());
    long cols = located.tensor().dims().getFirst();
    InterleavedRows.separate(type, stored, 0, count, cols, separated, 0);
    return separated.asSlice((first - from) * rowBytes, rows * rowBytes);
  }

  private static MemorySegment bytes(long count) {
    return MemorySegment.ofArray(new byte[Math.toIntExact(count)]);
  }
}
