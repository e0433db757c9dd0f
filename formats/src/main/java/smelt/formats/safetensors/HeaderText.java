package smelt.formats.safetensors;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/// Writes a header's JSON byte for byte as the reference implementation does: no spaces, `/` and
/// non-ASCII characters as they are, control characters as `\n` and the like or `\u001f`.
final class HeaderText {

  private final StringBuilder out;

  private HeaderText(int capacity) {
    out = new StringBuilder(capacity);
  }

  /// The JSON of a header, without length and padding.
  ///
  /// @param tensors in the order in which they are to appear
  /// @throws IllegalArgumentException if a text holds half a surrogate pair
  static byte[] of(List<TensorEntry> tensors, Map<String, String> metadata) {
    HeaderText text = new HeaderText(64 + 160 * Math.min(tensors.size(), 1 << 20));
    text.out.append('{');
    if (!metadata.isEmpty()) {
      text.metadata(metadata);
    }
    for (TensorEntry tensor : tensors) {
      text.tensor(tensor);
    }
    text.out.append('}');
    return text.encoded();
  }

  private byte[] encoded() {
    try {
      ByteBuffer bytes = UTF_8.newEncoder().encode(CharBuffer.wrap(out));
      byte[] json = new byte[bytes.remaining()];
      bytes.get(json);
      return json;
    } catch (CharacterCodingException e) {
      throw new IllegalArgumentException("a name or metadata that is no Unicode text", e);
    }
  }

  private void metadata(Map<String, String> metadata) {
    string(SafetensorsHeader.METADATA).append(":{");
    String comma = "";
    for (Map.Entry<String, String> entry : new TreeMap<>(metadata).entrySet()) {
      out.append(comma);
      string(entry.getKey()).append(':');
      string(entry.getValue());
      comma = ",";
    }
    out.append('}');
  }

  private void tensor(TensorEntry tensor) {
    if (out.length() > 1) {
      out.append(',');
    }
    string(tensor.name()).append(":{\"dtype\":\"").append(tensor.type()).append("\",\"shape\":[");
    for (int axis = 0; axis < tensor.shape().rank(); axis++) {
      out.append(axis == 0 ? "" : ",").append(tensor.shape().dim(axis));
    }
    out.append("],\"data_offsets\":[").append(tensor.begin()).append(',');
    out.append(tensor.end()).append("]}");
  }

  private StringBuilder string(String text) {
    out.append('"');
    for (int i = 0; i < text.length(); i++) {
      character(text.charAt(i));
    }
    return out.append('"');
  }

  private void character(char c) {
    switch (c) {
      case '"' -> out.append("\\\"");
      case '\\' -> out.append("\\\\");
      case '\b' -> out.append("\\b");
      case '\f' -> out.append("\\f");
      case '\n' -> out.append("\\n");
      case '\r' -> out.append("\\r");
      case '\t' -> out.append("\\t");
      default -> {
        if (c < ' ') {
          out.append(String.format("\\u%04x", (int) c));
        } else {
          out.append(c);
        }
      }
    }
  }
}
