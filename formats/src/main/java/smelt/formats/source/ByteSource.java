package smelt.formats.source;

import java.io.IOException;
import java.lang.foreign.MemorySegment;

/// One file of a model, read by position. Safe for use by several threads.
public interface ByteSource extends AutoCloseable {

  /// The file's name inside its model, with `/` between folders.
  String name();

  /// Size in bytes, as it was when the file was opened.
  long size();

  /// Fills `into` from byte `offset` on.
  ///
  /// @throws IndexOutOfBoundsException if the range does not lie inside the file
  /// @throws IOException if reading fails, or the file has become shorter
  void read(long offset, MemorySegment into) throws IOException;

  /// Refuses to go on when the file was changed since it was opened (size or time).
  ///
  /// @throws smelt.formats.BadInputException if it was
  void checkUnchanged() throws IOException;

  @Override
  void close() throws IOException;
}
