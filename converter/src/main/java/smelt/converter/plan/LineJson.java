package smelt.converter.plan;

import java.io.IOException;
import java.io.OutputStream;
import java.util.function.BiConsumer;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.PrettyPrinter;
import tools.jackson.core.StreamWriteFeature;
import tools.jackson.databind.json.JsonMapper;

/// Writes one JSON object that a person can read and `diff` can compare: each entry on a line of
/// its own, each element of a long array on a line of its own.
final class LineJson implements AutoCloseable {

  private static final JsonMapper MAPPER =
      JsonMapper.builder().disable(StreamWriteFeature.AUTO_CLOSE_TARGET).build();

  private final OutputStream out;
  private final JsonGenerator json;

  /// @param out not closed by this writer
  LineJson(OutputStream out) {
    this.out = out;
    this.json = MAPPER.writer().with(new Lines()).createGenerator(out);
    json.writeStartObject();
  }

  /// One entry; the value in compact form on the same line.
  void entry(String key, Object value) {
    json.writeName(key);
    json.writePOJO(value);
  }

  /// One entry whose value is an array, one element on each line.
  ///
  /// @param write writes one element
  <T> void lines(String key, Iterable<T> elements, BiConsumer<JsonGenerator, T> write) {
    json.writeName(key);
    json.writeStartArray();
    for (T element : elements) {
      write.accept(json, element);
    }
    json.writeEndArray();
  }

  /// One entry whose value is an array of records, one on each line.
  void lines(String key, Iterable<?> elements) {
    lines(key, elements, JsonGenerator::writePOJO);
  }

  @Override
  public void close() throws IOException {
    json.writeEndObject();
    json.close();
    out.write('\n');
  }

  /// Line ends inside the outermost object and inside arrays that stand directly in it.
  private static final class Lines implements PrettyPrinter {
    private int depth;

    @Override
    public void writeRootValueSeparator(JsonGenerator g) {}

    @Override
    public void writeStartObject(JsonGenerator g) {
      g.writeRaw('{');
      depth++;
    }

    @Override
    public void beforeObjectEntries(JsonGenerator g) {
      if (depth == 1) {
        g.writeRaw('\n');
      }
    }

    @Override
    public void writeObjectNameValueSeparator(JsonGenerator g) {
      g.writeRaw(depth == 1 ? ": " : ":");
    }

    @Override
    public void writeObjectEntrySeparator(JsonGenerator g) {
      g.writeRaw(depth == 1 ? ",\n" : ",");
    }

    @Override
    public void writeEndObject(JsonGenerator g, int entries) {
      depth--;
      g.writeRaw(depth == 0 ? "\n}" : "}");
    }

    @Override
    public void writeStartArray(JsonGenerator g) {
      g.writeRaw('[');
      depth++;
    }

    @Override
    public void beforeArrayValues(JsonGenerator g) {
      if (depth == 2) {
        g.writeRaw("\n  ");
      }
    }

    @Override
    public void writeArrayValueSeparator(JsonGenerator g) {
      g.writeRaw(depth == 2 ? ",\n  " : ",");
    }

    @Override
    public void writeEndArray(JsonGenerator g, int values) {
      if (depth == 2 && values > 0) {
        g.writeRaw('\n');
      }
      depth--;
      g.writeRaw(']');
    }
  }
}
