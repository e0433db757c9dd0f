package smelt.formats.gguf;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import smelt.formats.gguf.GgufValue.Kind;
import smelt.formats.source.ByteSource;

/// Reads a header, see [GgufHeader#read].
final class HeaderReader {

  /// Most bytes in front of the data. The largest vocabularies in use need less than a tenth.
  static final long MAX_HEADER_BYTES = 256L << 20;

  /// Most elements of all arrays together, which cost more memory here than in the file.
  static final long MAX_ELEMENTS = 8L << 20;

  /// Most bytes of a key, from the specification.
  static final int MAX_KEY_BYTES = 65_535;

  /// Most bytes of a text of the metadata.
  static final long MAX_TEXT_BYTES = 64L << 20;

  /// A key of one byte, a kind, a value of one byte.
  private static final long LEAST_ENTRY_BYTES = 8 + 1 + 4 + 1;

  /// A name of one byte, the number of dimensions, one dimension, the type, the offset.
  private static final long LEAST_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8;

  private final ByteSource file;
  private final Cursor in;
  private long elementsLeft = MAX_ELEMENTS;

  HeaderReader(ByteSource file) {
    this.file = file;
    this.in = new Cursor(file, MAX_HEADER_BYTES);
  }

  GgufHeader read() throws IOException {
    magic();
    int version = version();
    long tensorCount = in.count("tensor count", LEAST_TENSOR_BYTES);
    long entryCount = in.count("metadata count", LEAST_ENTRY_BYTES);
    SequencedMap<String, GgufValue> metadata = metadata(entryCount);
    long alignment = alignment(metadata);
    TensorTable table = new TensorTable(file, alignment);
    for (long i = 0; i < tensorCount; i++) {
      tensor(table);
    }
    long headerEnd = in.position();
    long dataStart =
        tensorCount == 0
            ? Math.min(file.size(), GgufLayout.padded(headerEnd, alignment))
            : GgufLayout.padded(headerEnd, alignment);
    List<GgufTensor> tensors = table.check(dataStart);
    split(metadata, tensors.size());
    return new GgufHeader(version, metadata, tensors, alignment, dataStart, file.size());
  }

  private void magic() throws IOException {
    for (byte expected : HeaderEncoder.MAGIC) {
      long at = in.position();
      byte found = in.int8("the magic");
      if (found != expected) {
        String shown = String.format(java.util.Locale.ROOT, "byte 0x%02x", found);
        throw in.bad(at, shown, "the magic GGUF");
      }
    }
  }

  private int version() throws IOException {
    long at = in.position();
    int version = in.int32("the version");
    if (version != 2 && version != GgufLayout.VERSION) {
      boolean swapped = (version & 0xFFFF) == 0 && version != 0;
      String found = "version " + Integer.toUnsignedString(version);
      throw in.bad(at, swapped ? found + ", a big-endian file" : found, "version 2 or 3");
    }
    return version;
  }

  private SequencedMap<String, GgufValue> metadata(long count) throws IOException {
    SequencedMap<String, GgufValue> metadata = new LinkedHashMap<>();
    for (long i = 0; i < count; i++) {
      long at = in.position();
      String key = name("key", MAX_KEY_BYTES);
      GgufValue value = value(kind("the kind of " + shown(key)), shown(key));
      if (metadata.putIfAbsent(key, value) != null) {
        throw in.bad(at, "the key " + shown(key) + " again", "distinct keys");
      }
    }
    return metadata;
  }

  private String name(String what, int most) throws IOException {
    long at = in.position();
    String name = in.text("a " + what, most);
    if (name.isEmpty()) {
      throw in.bad(at, "an empty " + what, "a " + what);
    }
    if (name.indexOf('\0') >= 0) {
      throw in.bad(at, "a " + what + " with a NUL", "text without NUL");
    }
    return name;
  }

  private Kind kind(String what) throws IOException {
    long at = in.position();
    long id = Integer.toUnsignedLong(in.int32(what));
    return Kind.of(id).orElseThrow(() -> in.bad(at, what + " " + id, "a kind from 0 to 12"));
  }

  private GgufValue value(Kind kind, String key) throws IOException {
    String what = "the value of " + key;
    return switch (kind) {
      case U8 -> new GgufValue.U8(Byte.toUnsignedInt(in.int8(what)));
      case I8 -> new GgufValue.I8(in.int8(what));
      case U16 -> new GgufValue.U16(Short.toUnsignedInt(in.int16(what)));
      case I16 -> new GgufValue.I16(in.int16(what));
      case U32 -> new GgufValue.U32(Integer.toUnsignedLong(in.int32(what)));
      case I32 -> new GgufValue.I32(in.int32(what));
      case F32 -> new GgufValue.F32(Float.intBitsToFloat(in.int32(what)));
      case BOOL -> new GgufValue.Bool(bool(what));
      case TEXT -> new GgufValue.Text(in.text(what, MAX_TEXT_BYTES));
      case ARRAY -> array(key);
      case U64 -> new GgufValue.U64(in.int64(what));
      case I64 -> new GgufValue.I64(in.int64(what));
      case F64 -> new GgufValue.F64(Double.longBitsToDouble(in.int64(what)));
    };
  }

  private boolean bool(String what) throws IOException {
    long at = in.position();
    byte value = in.int8(what);
    if (value != 0 && value != 1) {
      throw in.bad(at, what + " " + Byte.toUnsignedInt(value), "0 or 1");
    }
    return value == 1;
  }

  private GgufValue array(String key) throws IOException {
    long at = in.position();
    Kind elements = kind("the kind of the elements of " + key);
    if (elements == Kind.ARRAY) {
      throw in.bad(at, key + " as an array of arrays", "an array of numbers or texts");
    }
    long countAt = in.position();
    long count = in.count("element count of " + key, elements.leastBytes());
    if (count > elementsLeft) {
      throw in.bad(
          countAt, count + " elements of " + key, "at most " + elementsLeft + " more of arrays");
    }
    elementsLeft -= count;
    List<GgufValue> values = new ArrayList<>((int) count);
    for (long i = 0; i < count; i++) {
      values.add(value(elements, key));
    }
    return new GgufValue.Array(elements, values);
  }

  private long alignment(SequencedMap<String, GgufValue> metadata) {
    try {
      return GgufLayout.alignment(metadata);
    } catch (IllegalArgumentException e) {
      throw in.bad(
          in.position(),
          e.getMessage(),
          "a U32 that is a power of two from "
              + GgufLayout.LEAST_ALIGNMENT
              + " to "
              + GgufLayout.MAX_ALIGNMENT);
    }
  }

  private void tensor(TensorTable table) throws IOException {
    long at = in.position();
    String name = name("tensor name", GgufTensor.MAX_NAME_BYTES);
    long dimsAt = in.position();
    long count = Integer.toUnsignedLong(in.int32("the number of dimensions of " + name));
    if (count < 1 || count > GgufTensor.MAX_DIMS) {
      String found = count + " dimensions of " + name;
      throw in.bad(dimsAt, found, "from 1 to " + GgufTensor.MAX_DIMS);
    }
    List<Long> dims = new ArrayList<>((int) count);
    for (int i = 0; i < count; i++) {
      dims.add(in.int64("a dimension of " + name));
    }
    long typeAt = in.position();
    long id = Integer.toUnsignedLong(in.int32("the type of " + name));
    GgmlType type =
        GgmlType.of(id)
            .orElseThrow(() ->
                in.bad(
                    typeAt,
                    (GgmlType.isRemoved(id) ? "the removed type " : "the type ")
                        + id
                        + " of "
                        + name,
                    "a type that ggml has"));
    table.add(at, name, type, dims, in.int64("the offset of " + name));
  }

  private void split(SequencedMap<String, GgufValue> metadata, int tensors) {
    try {
      GgufSplit.of(metadata)
          .filter(split -> split.tensors() < tensors)
          .ifPresent(split -> {
            throw in.bad(
                in.position(),
                tensors + " tensors",
                "at most the " + split.tensors() + " of " + GgufSplit.TENSORS);
          });
    } catch (IllegalArgumentException e) {
      throw in.bad(in.position(), e.getMessage(), "all three split keys, consistent");
    }
  }

  /// A key for a message.
  private static String shown(String key) {
    return "'" + (key.length() <= 200 ? key : key.substring(0, 200) + "...") + "'";
  }
}
