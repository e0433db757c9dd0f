package smelt.formats.gguf;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/// Writes GGUF bytes as told, right or wrong, with nothing shared with the writer that is tested.
final class GgufDraft {

  private final ByteArrayOutputStream out = new ByteArrayOutputStream();

  static GgufDraft head(long tensors, long entries) {
    return new GgufDraft().raw("GGUF").u32(3).u64(tensors).u64(entries);
  }

  GgufDraft raw(String ascii) {
    out.writeBytes(ascii.getBytes(UTF_8));
    return this;
  }

  GgufDraft bytes(int... values) {
    for (int value : values) {
      out.write(value);
    }
    return this;
  }

  GgufDraft u16(int value) {
    return bytes(value, value >> 8);
  }

  GgufDraft u32(long value) {
    out.writeBytes(order(Integer.BYTES).putInt((int) value).array());
    return this;
  }

  GgufDraft u64(long value) {
    out.writeBytes(order(Long.BYTES).putLong(value).array());
    return this;
  }

  GgufDraft text(String text) {
    byte[] utf8 = text.getBytes(UTF_8);
    u64(utf8.length);
    out.writeBytes(utf8);
    return this;
  }

  /// A metadata entry up to its value.
  GgufDraft key(String key, long kind) {
    return text(key).u32(kind);
  }

  GgufDraft tensor(String name, long type, long offset, long... dims) {
    text(name).u32(dims.length);
    for (long dim : dims) {
      u64(dim);
    }
    return u32(type).u64(offset);
  }

  /// Zeros up to a multiple of 32, then `count` more.
  GgufDraft data(int count) {
    while (out.size() % 32 != 0) {
      out.write(0);
    }
    out.writeBytes(new byte[count]);
    return this;
  }

  GgufDraft append(GgufDraft other) {
    out.writeBytes(other.toBytes());
    return this;
  }

  byte[] toBytes() {
    return out.toByteArray();
  }

  private static ByteBuffer order(int bytes) {
    return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }
}
