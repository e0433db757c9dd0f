package smelt.calibrate.text;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.Optional;
import smelt.formats.BadInputException;
import smelt.formats.files.Sha256;

/// Reads a file line by line, as bytes, and digests all of it. A line ends with `\n`, which is part
/// of it. Memory is that of the longest line.
final class LineReader {

  /// Longest line that is read, in bytes.
  static final int LIMIT = 16 << 20;

  /// One line.
  ///
  /// @param number from 1
  /// @param offset of its first byte in the file
  /// @param length in bytes, its end included
  record Line(long number, long offset, int length) {}

  private final String name;
  private final FileChannel channel;
  private final MessageDigest digest = Sha256.start();
  private byte[] buffer = new byte[1 << 16];

  /// Bytes `from` to `to` of the buffer are read and not given out.
  private int from;

  private int to;
  private long position;
  private long lines;

  /// @param name the file's, for messages
  LineReader(String name, FileChannel channel) {
    this.name = name;
    this.channel = channel;
  }

  /// The next line; empty at the end of the file.
  ///
  /// @throws BadInputException for a line that is too long; the one behind it can be read
  Optional<Line> next() throws IOException {
    int seen = 0;
    int end = -1;
    boolean more = true;
    while (end < 0 && more && seen <= LIMIT) {
      end = lineEnd(from + seen);
      if (end < 0) {
        seen = to - from;
        more = fill();
      }
    }
    if (end < 0 && seen == 0) {
      return Optional.empty();
    }
    int length = end < 0 ? seen : end - from;
    if (length <= LIMIT) {
      return Optional.of(take(length));
    }
    skipLine();
    throw new BadInputException(
        name + " line " + lines,
        "more than " + LIMIT + " bytes",
        "lines of at most that",
        "split the line; JSON lines have one document a line");
  }

  /// Where the line ends in the buffer, behind its `\n`; -1 if that is not read yet.
  private int lineEnd(int start) {
    for (int i = start; i < to; i++) {
      if (buffer[i] == '\n') {
        return i + 1;
      }
    }
    return -1;
  }

  /// The bytes of the line that was given last. Valid until the next is read.
  ByteBuffer bytes(Line line) {
    return ByteBuffer.wrap(buffer, from - line.length(), line.length());
  }

  /// SHA-256 of the file, once the last line was given.
  String sha256() {
    return Sha256.hex(digest);
  }

  private Line take(int length) {
    Line line = new Line(++lines, position, length);
    digest.update(buffer, from, length);
    position += length;
    from += length;
    return line;
  }

  private void skipLine() throws IOException {
    lines++;
    do {
      while (from < to) {
        position++;
        if (buffer[from++] == '\n') {
          return;
        }
      }
    } while (fill());
  }

  private boolean fill() throws IOException {
    if (from > 0) {
      System.arraycopy(buffer, from, buffer, 0, to - from);
      to -= from;
      from = 0;
    }
    if (to == buffer.length) {
      buffer = Arrays.copyOf(buffer, 2 * buffer.length);
    }
    int read = channel.read(ByteBuffer.wrap(buffer, to, buffer.length - to));
    if (read > 0) {
      to += read;
    }
    return read >= 0;
  }

  /// Reads a piece of the file again.
  static byte[] read(FileChannel channel, long offset, int length) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(length);
    while (bytes.hasRemaining()) {
      if (channel.read(bytes, offset + bytes.position()) < 0) {
        throw new EOFException("the file has become shorter");
      }
    }
    return bytes.array();
  }
}
