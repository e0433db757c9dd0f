package smelt.formats.gguf;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import smelt.formats.BadInputException;
import smelt.formats.source.ByteSource;

/// Reads a header from front to back through a small window. Nothing is allocated for a length
/// before it was compared with what is left.
final class Cursor {

  private static final int WINDOW_BYTES = 1 << 16;

  private final ByteSource file;
  private final long end;
  private final byte[] window;
  private final ByteBuffer bytes;
  private long position;

  /// @param limit most bytes that a header may have
  Cursor(ByteSource file, long limit) {
    this.file = file;
    this.end = Math.min(file.size(), limit);
    window = new byte[(int) Math.min(WINDOW_BYTES, end)];
    bytes = ByteBuffer.wrap(window).order(ByteOrder.LITTLE_ENDIAN).limit(0);
  }

  /// The next byte's place in the file.
  long position() {
    return position;
  }

  /// Bytes that a header may still have.
  long remaining() {
    return end - position;
  }

  byte int8(String what) throws IOException {
    byte value = need(1, what).get();
    position += Byte.BYTES;
    return value;
  }

  short int16(String what) throws IOException {
    short value = need(Short.BYTES, what).getShort();
    position += Short.BYTES;
    return value;
  }

  int int32(String what) throws IOException {
    int value = need(Integer.BYTES, what).getInt();
    position += Integer.BYTES;
    return value;
  }

  long int64(String what) throws IOException {
    long value = need(Long.BYTES, what).getLong();
    position += Long.BYTES;
    return value;
  }

  /// A number of things of which each has at least `least` bytes.
  long count(String what, long least) throws IOException {
    long at = position;
    long count = int64("the " + what);
    if (count < 0 || count > remaining() / least) {
      throw bad(
          at,
          what + " " + Long.toUnsignedString(count),
          "at most " + remaining() / least + ", for which the bytes that are left would do");
    }
    return count;
  }

  /// @param most bytes that it may have
  String text(String what, long most) throws IOException {
    long at = position;
    long length = count("length of " + what, 1);
    if (length > most) {
      throw bad(at, what + " of " + length + " bytes", "at most " + most);
    }
    byte[] utf8 = new byte[Math.toIntExact(length)];
    copy(utf8, what);
    try {
      return UTF_8.newDecoder().decode(ByteBuffer.wrap(utf8)).toString();
    } catch (CharacterCodingException e) {
      throw bad(at, what + " that is no UTF-8", "text in UTF-8");
    }
  }

  private void copy(byte[] into, String what) throws IOException {
    if (into.length > window.length) {
      file.read(position, MemorySegment.ofArray(into));
      bytes.limit(0);
    } else {
      need(into.length, what).get(into);
    }
    position += into.length;
  }

  /// Makes the next bytes lie in the window.
  private ByteBuffer need(int count, String what) throws IOException {
    if (count > remaining()) {
      String found = "the end of " + (end == file.size() ? "the file" : "the largest header");
      throw bad(position, found, what + " of " + count + " bytes");
    }
    if (bytes.remaining() < count) {
      int length = (int) Math.min(window.length, remaining());
      file.read(position, MemorySegment.ofArray(window).asSlice(0, length));
      bytes.clear().limit(length);
    }
    return bytes;
  }

  BadInputException bad(long at, String found, String expected) {
    return new BadInputException(
        file.name() + ", byte " + at,
        found,
        expected,
        "the file is no sound GGUF file: get it again, or have it written anew");
  }
}
