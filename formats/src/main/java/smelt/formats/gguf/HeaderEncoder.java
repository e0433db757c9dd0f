package smelt.formats.gguf;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.SequencedMap;

/// Writes the bytes in front of the data, as [GgufLayout] describes them.
final class HeaderEncoder {

  static final byte[] MAGIC = {'G', 'G', 'U', 'F'};

  private final ByteArrayOutputStream out = new ByteArrayOutputStream(1 << 16);
  private final ByteBuffer number = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);

  private HeaderEncoder() {}

  static byte[] encode(
      SequencedMap<String, GgufValue> metadata, List<GgufTensor> tensors, long alignment) {
    HeaderEncoder encoder = new HeaderEncoder();
    encoder.out.writeBytes(MAGIC);
    encoder.int32(GgufLayout.VERSION);
    encoder.int64(tensors.size());
    encoder.int64(metadata.size());
    metadata.forEach(encoder::entry);
    tensors.forEach(encoder::tensor);
    if (!tensors.isEmpty()) {
      int size = encoder.out.size();
      long padding = GgufLayout.padded(size, alignment) - size;
      encoder.out.writeBytes(new byte[(int) padding]);
    }
    return encoder.out.toByteArray();
  }

  private void entry(String key, GgufValue value) {
    if (key.isEmpty() || key.getBytes(UTF_8).length > HeaderReader.MAX_KEY_BYTES) {
      throw new IllegalArgumentException("no metadata can have the key '" + key + "'");
    }
    text(key);
    int32(value.kind().id());
    value(value);
  }

  private void value(GgufValue value) {
    switch (value) {
      case GgufValue.U8(int v) -> out.write(v);
      case GgufValue.I8(byte v) -> out.write(v);
      case GgufValue.U16(int v) -> int16(v);
      case GgufValue.I16(short v) -> int16(v);
      case GgufValue.U32(long v) -> int32((int) v);
      case GgufValue.I32(int v) -> int32(v);
      case GgufValue.F32(float v) -> int32(Float.floatToRawIntBits(v));
      case GgufValue.Bool(boolean v) -> out.write(v ? 1 : 0);
      case GgufValue.Text(String v) -> text(v);
      case GgufValue.U64(long v) -> int64(v);
      case GgufValue.I64(long v) -> int64(v);
      case GgufValue.F64(double v) -> int64(Double.doubleToRawLongBits(v));
      case GgufValue.Array(GgufValue.Kind elements, List<GgufValue> values) -> {
        int32(elements.id());
        int64(values.size());
        values.forEach(this::value);
      }
    }
  }

  private void tensor(GgufTensor tensor) {
    text(tensor.name());
    int32(tensor.dims().size());
    tensor.dims().forEach(this::int64);
    int32(tensor.type().id());
    int64(tensor.offset());
  }

  private void text(String text) {
    if (!UTF_8.newEncoder().canEncode(text)) {
      throw new IllegalArgumentException("a text with half of a surrogate pair: " + text);
    }
    byte[] utf8 = text.getBytes(UTF_8);
    int64(utf8.length);
    out.writeBytes(utf8);
  }

  private void int16(int value) {
    number.clear().putShort((short) value);
    flush();
  }

  private void int32(int value) {
    number.clear().putInt(value);
    flush();
  }

  private void int64(long value) {
    number.clear().putLong(value);
    flush();
  }

  private void flush() {
    out.write(number.array(), 0, number.position());
  }
}
