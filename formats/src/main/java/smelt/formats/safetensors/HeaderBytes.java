package smelt.formats.safetensors;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CoderResult;
import smelt.formats.BadInputException;
import smelt.formats.source.ByteSource;

/// Fetches a header's bytes: the length is compared with the file before anything is allocated, and
/// the bytes are known to be UTF-8 without NUL afterwards.
final class HeaderBytes {

  private static final ValueLayout.OfLong LENGTH =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final String REMEDY =
      "the file is no safetensors file or is damaged: get it again";

  private HeaderBytes() {}

  static byte[] read(ByteSource file) throws IOException {
    byte[] json = new byte[length(file)];
    file.read(SafetensorsHeader.LENGTH_BYTES, MemorySegment.ofArray(json));
    if (json.length == 0 || json[0] != '{') {
      String found = json.length == 0 ? "an empty header" : "first byte " + hex(json[0]);
      throw bad(file, SafetensorsHeader.LENGTH_BYTES, found, "a header that starts with '{'");
    }
    int text = firstThatIsNoText(json);
    if (text < json.length) {
      long offset = SafetensorsHeader.LENGTH_BYTES + (long) text;
      throw bad(file, offset, "byte " + hex(json[text]), "a header in UTF-8 without NUL");
    }
    return json;
  }

  private static int length(ByteSource file) throws IOException {
    if (file.size() < SafetensorsHeader.LENGTH_BYTES) {
      throw bad(file, 0, "a file of " + file.size() + " bytes", "at least the 8 of a length field");
    }
    byte[] field = new byte[SafetensorsHeader.LENGTH_BYTES];
    file.read(0, MemorySegment.ofArray(field));
    long length = MemorySegment.ofArray(field).get(LENGTH, 0);
    if (length < 0 || length > SafetensorsHeader.MAX_HEADER_BYTES) {
      String found = "a header length of " + Long.toUnsignedString(length);
      throw bad(file, 0, found, "at most " + SafetensorsHeader.MAX_HEADER_BYTES);
    }
    long rest = file.size() - SafetensorsHeader.LENGTH_BYTES;
    if (length > rest) {
      throw bad(file, 0, "a header length of " + length, "at most the " + rest + " that follow it");
    }
    return Math.toIntExact(length);
  }

  /// Index of the first byte that is NUL or breaks UTF-8; the length when all is well.
  ///
  /// A JSON parser would take NULs for the sign of UTF-16, and lets overlong forms pass.
  static int firstThatIsNoText(byte[] bytes) {
    boolean ascii = true;
    for (int i = 0; i < bytes.length; i++) {
      if (bytes[i] == 0) {
        return ascii ? i : Math.min(i, firstThatBreaksUtf8(bytes));
      }
      ascii &= bytes[i] > 0;
    }
    return ascii ? bytes.length : firstThatBreaksUtf8(bytes);
  }

  private static int firstThatBreaksUtf8(byte[] bytes) {
    CharsetDecoder decoder = UTF_8.newDecoder();
    ByteBuffer in = ByteBuffer.wrap(bytes);
    CharBuffer out = CharBuffer.allocate(8192);
    CoderResult result;
    do {
      out.clear();
      result = decoder.decode(in, out, true);
    } while (result.isOverflow());
    return result.isError() ? in.position() : bytes.length;
  }

  private static String hex(byte value) {
    return String.format("0x%02x", value);
  }

  private static BadInputException bad(ByteSource file, long at, String found, String expected) {
    return new BadInputException(file.name() + ", byte " + at, found, expected, REMEDY);
  }
}
