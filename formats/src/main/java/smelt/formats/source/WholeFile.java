package smelt.formats.source;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import smelt.formats.BadInputException;

/// Reads a small file into memory, after comparing its size with what the caller can take.
final class WholeFile {

  private WholeFile() {}

  static byte[] read(ByteSource file, long limit) throws IOException {
    if (file.size() > Math.min(limit, Integer.MAX_VALUE - 8)) {
      throw new BadInputException(
          file.name(),
          file.size() + " bytes",
          "at most " + limit,
          "check that the right file lies under this name");
    }
    byte[] bytes = new byte[Math.toIntExact(file.size())];
    file.read(0, MemorySegment.ofArray(bytes));
    return bytes;
  }
}
