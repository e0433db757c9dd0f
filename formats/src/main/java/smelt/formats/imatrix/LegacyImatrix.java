package smelt.formats.imatrix;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.BufferedOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import smelt.formats.BadInputException;
import smelt.formats.source.ByteSource;

/// The older kind of file, all little-endian:
///
/// | bytes | what |
/// |---|---|
/// | 4 | number of entries |
/// | per entry: 4, n | length and name |
/// | 4 | calls: the chunks that it was measured in |
/// | 4 | number of values |
/// | 4 each | values, F32: mean squares times calls |
/// | 4 | number of chunks |
/// | 4, n | length and name of the text |
///
/// The last two lines are missing in the oldest files. There are no counts of experts: of each
/// entry the calls are the count of all matrices.
final class LegacyImatrix {

  private static final int MAX_NAME = 63;
  private static final int MAX_DATASET = 1 << 16;
  private static final long MAX_VALUES = 1 << 29;

  /// Length, name of a byte, calls, number of values, one value.
  private static final long LEAST_ENTRY = 4 + 1 + 4 + 4 + 4;

  private final ByteSource file;
  private long position;

  private LegacyImatrix(ByteSource file) {
    this.file = file;
  }

  static Imatrix read(ByteSource file) throws IOException {
    return new LegacyImatrix(file).read();
  }

  private Imatrix read() throws IOException {
    int count = number("the number of entries", 1, (file.size() - Integer.BYTES) / LEAST_ENTRY);
    TreeMap<String, ImatrixEntry> entries = new TreeMap<>();
    for (int i = 0; i < count; i++) {
      long at = position;
      String name = text("a name", 1, MAX_NAME);
      if (entries.putIfAbsent(name, entry(name)) != null) {
        throw bad(at, "the name " + name + " again", "distinct names");
      }
    }
    if (position == file.size()) {
      return new Imatrix(entries, List.of(), 0, 0);
    }
    int chunks = number("the number of chunks", 0, Integer.MAX_VALUE);
    String dataset = text("the name of the text", 0, MAX_DATASET);
    if (position != file.size()) {
      throw bad(position, file.size() - position + " bytes more", "the end of the file");
    }
    return new Imatrix(entries, dataset.isEmpty() ? List.of() : List.of(dataset), chunks, 0);
  }

  private ImatrixEntry entry(String name) throws IOException {
    int calls = number("the calls of " + name, 1, Integer.MAX_VALUE);
    long left = (file.size() - position - Integer.BYTES) / Float.BYTES;
    left = Math.min(left, MAX_VALUES);
    int values = number("the number of values of " + name, 1, left);
    long at = position;
    float[] sums = new float[values];
    ByteBuffer bytes = ByteBuffer.allocate(Math.min(1 << 14, values) * Float.BYTES);
    bytes.order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < values; ) {
      int some = Math.min(values - i, bytes.capacity() / Float.BYTES);
      file.read(position, MemorySegment.ofBuffer(bytes.clear().limit(some * Float.BYTES)));
      bytes.asFloatBuffer().get(sums, i, some);
      position += (long) some * Float.BYTES;
      i += some;
    }
    try {
      return new ImatrixEntry(sums, new float[] {calls});
    } catch (IllegalArgumentException e) {
      throw bad(at, name + ": " + e.getMessage(), "finite numbers, not negative");
    }
  }

  private int number(String what, long least, long most) throws IOException {
    long at = position;
    byte[] bytes = bytes(what, Integer.BYTES);
    int number = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getInt();
    if (number < least || number > most) {
      throw bad(at, what + " " + number, "from " + least + " to " + Math.max(least, most));
    }
    return number;
  }

  private String text(String what, int least, int most) throws IOException {
    long at = position;
    int length = number("the length of " + what, least, most);
    try {
      return UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes(what, length))).toString();
    } catch (CharacterCodingException e) {
      throw bad(at, what + " that is no UTF-8", "text in UTF-8");
    }
  }

  /// @param count few
  private byte[] bytes(String what, int count) throws IOException {
    if (count > file.size() - position) {
      throw bad(position, "the end of the file", what + " of " + count + " bytes");
    }
    byte[] bytes = new byte[count];
    file.read(position, MemorySegment.ofArray(bytes));
    position += count;
    return bytes;
  }

  private BadInputException bad(long at, String found, String expected) {
    return new BadInputException(
        file.name() + ", byte " + at,
        found,
        expected,
        "the file is no sound importance matrix: get it again, or have it made anew");
  }

  static void write(Imatrix imatrix, OutputStream out) throws IOException {
    Map<String, ImatrixEntry> seen = new TreeMap<>(imatrix.entries());
    seen.values().removeIf(entry -> largestCount(entry) == 0);
    DataOutputStream data = new DataOutputStream(new BufferedOutputStream(out));
    put(data, seen.size());
    for (Map.Entry<String, ImatrixEntry> named : seen.entrySet()) {
      put(data, named.getKey());
      put(data, named.getValue(), imatrix.chunkSize());
    }
    put(data, (int) imatrix.chunkCount());
    put(data, imatrix.datasets().isEmpty() ? "" : imatrix.datasets().getLast());
    data.flush();
  }

  private static float largestCount(ImatrixEntry entry) {
    float largest = 0;
    for (float count : entry.counts()) {
      largest = Math.max(largest, count);
    }
    return largest;
  }

  private static void put(DataOutputStream data, ImatrixEntry entry, long chunkSize)
      throws IOException {
    double chunks = Math.ceil(largestCount(entry) / (double) Math.max(1, chunkSize));
    int calls = (int) Math.min(Integer.MAX_VALUE, chunks);
    put(data, calls);
    put(data, entry.size());
    for (int i = 0; i < entry.size(); i++) {
      float count = entry.countOf(i);
      float mean = count == 0 ? 1 : entry.sum(i) / count;
      float value = chunkSize == 0 && count == calls ? entry.sum(i) : mean * calls;
      put(data, Float.floatToRawIntBits(value));
    }
  }

  private static void put(DataOutputStream data, String text) throws IOException {
    byte[] utf8 = text.getBytes(UTF_8);
    put(data, utf8.length);
    data.write(utf8);
  }

  /// Data streams are big-endian, the file is not.
  private static void put(DataOutputStream data, int number) throws IOException {
    data.writeInt(Integer.reverseBytes(number));
  }
}
