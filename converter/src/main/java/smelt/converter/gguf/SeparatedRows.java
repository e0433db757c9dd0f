package smelt.converter.gguf;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import smelt.formats.gguf.GgufParts;
import smelt.formats.source.ByteSource;
import smelt.formats.source.SourceFiles;

/// Rows that lie interleaved in GGUF, as a file in which they follow each other. They are separated
/// each time they are read, a few at a time. Safe for several threads.
///
/// @param first row of the tensor with which the file begins
/// @param rows of the file
record SeparatedRows(
    String name, SourceFiles files, GgufParts.Located located, long first, long rows)
    implements ByteSource {

  /// Aim for the bytes that are separated together.
  private static final long CHUNK = 1 << 20;

  @Override
  public long size() {
    return Math.multiplyExact(rows, located.tensor().rowBytes());
  }

  @Override
  public void read(long offset, MemorySegment into) throws IOException {
    Objects.checkFromIndexSize(offset, into.byteSize(), size());
    long rowBytes = located.tensor().rowBytes();
    int together = located.tensor().type().interleavedRows();
    long step = Math.max(1, CHUNK / rowBytes / together) * together;
    long end = offset + into.byteSize();
    long at = offset;
    while (at < end) {
      long row = at / rowBytes;
      long next = Math.min(rows, row / step * step + step);
      long wanted = Math.min(next, Math.ceilDiv(end, rowBytes)) - row;
      MemorySegment separated = StoredRows.read(files, located, first + row, wanted);
      long from = at - row * rowBytes;
      long count = Math.min(end - at, separated.byteSize() - from);
      MemorySegment.copy(separated, from, into, at - offset, count);
      at += count;
    }
  }

  @Override
  public void checkUnchanged() throws IOException {
    files.file(located.file()).checkUnchanged();
  }

  /// The files stay open for other weights.
  @Override
  public void close() {}
}
