package smelt.converter.plan;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import tools.jackson.databind.json.JsonMapper;

/// Writes one JSON object that a person can read and `diff` can compare: each entry on a line of its
/// own, each element of a long array on a line of its own.
final class LineJson implements AutoCloseable {

  private static final JsonMapper MAPPER = JsonMapper.builder().build();

  private final OutputStream out;
  private boolean first = true;

  /// @param out not closed by this writer
  LineJson(OutputStream out) throws IOException {
    this.out = out;
    text("{");
  }

  /// One entry; the value in compact form on the same line.
  void entry(String key, Object value) throws IOException {
    key(key);
    out.write(MAPPER.writeValueAsBytes(value));
  }

  /// One entry whose value is an array, one element on each line.
  void lines(String key, Iterable<?> elements) throws IOException {
    key(key);
    text("[");
    boolean firstElement = true;
    for (Object element : elements) {
      text(firstElement ? "\n  " : ",\n  ");
      out.write(MAPPER.writeValueAsBytes(element));
      firstElement = false;
    }
    text(firstElement ? "]" : "\n]");
  }

  @Override
  public void close() throws IOException {
    text("\n}\n");
  }

  private void key(String key) throws IOException {
    text(first ? "\n" : ",\n");
    out.write(MAPPER.writeValueAsBytes(key));
    text(": ");
    first = false;
  }

  private void text(String text) throws IOException {
    out.write(text.getBytes(StandardCharsets.UTF_8));
  }
}
