package smelt.formats.safetensors;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.TokenStreamLocation;
import tools.jackson.core.json.JsonFactory;

/// Parses a header's JSON into entries that are sound in themselves: known type, a size that equals
/// shape times type. How they lie in the file is checked by [DataCoverage].
final class HeaderParser {

  record Content(Map<String, String> metadata, List<TensorEntry> tensors) {}

  private static final int MAX_RANK = 8;
  private static final int MAX_TENSORS = 1_000_000;
  private static final String REMEDY = "have the file written anew by a safetensors writer";

  /// Nesting: header, entry, shape, and one more for what a writer may have added to an entry.
  private static final JsonFactory JSON =
      JsonFactory.builder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .streamReadConstraints(
              StreamReadConstraints.builder()
                  .maxNestingDepth(4)
                  .maxNameLength(4096)
                  .maxStringLength(16_000_000)
                  .maxNumberLength(20)
                  .build())
          .build();

  private final JsonParser json;
  private final Findings findings;
  private final Map<String, String> metadata = new TreeMap<>();
  private final List<TensorEntry> tensors = new ArrayList<>();
  private final Map<Shape, Shape> shapes = new HashMap<>();

  private HeaderParser(JsonParser json, Findings findings) {
    this.json = json;
    this.findings = findings;
  }

  /// @param bytes UTF-8 without NUL, starting with `{`
  static Content parse(String file, byte[] bytes) {
    try (JsonParser json = JSON.createParser(ObjectReadContext.empty(), bytes)) {
      HeaderParser parser = new HeaderParser(json, new Findings(file));
      parser.checkedHeader();
      parser.findings.throwIfAny();
      return new Content(parser.metadata, parser.tensors);
    }
  }

  private void checkedHeader() {
    try {
      header();
    } catch (JacksonException e) {
      String found = "no valid header: " + Findings.shortened(e.getOriginalMessage());
      long at = inFile(json.currentLocation());
      findings.add(at, found, "the JSON of a safetensors header", REMEDY);
    }
  }

  private void header() {
    json.nextToken();
    for (String name = json.nextName(); name != null; name = json.nextName()) {
      long at = here();
      json.nextToken();
      if (name.equals(SafetensorsHeader.METADATA)) {
        metadata(at);
      } else {
        tensor(name, at);
      }
    }
    if (json.nextToken() != null) {
      findings.add(here(), "more after the header's object", "its end or spaces", REMEDY);
    }
  }

  private void metadata(long at) {
    if (!json.hasToken(JsonToken.START_OBJECT)) {
      findings.add(at, "metadata that is " + shown(), "an object of strings", REMEDY);
      json.skipChildren();
      return;
    }
    for (String key = json.nextName(); key != null; key = json.nextName()) {
      json.nextToken();
      String value = json.hasToken(JsonToken.VALUE_STRING) ? json.getString() : null;
      if (value == null || !isWellFormed(value)) {
        String found = "metadata '" + Findings.shortened(key) + "' that is " + shown();
        findings.add(here(), found, "a string", REMEDY);
        json.skipChildren();
      } else if (isName(key, at, "metadata")) {
        metadata.put(key, value);
      }
    }
  }

  private void tensor(String name, long at) {
    if (!json.hasToken(JsonToken.START_OBJECT)) {
      findings.add(name, at, shown(), "an object with dtype, shape and data_offsets", REMEDY);
      json.skipChildren();
      return;
    }
    ElementType type = null;
    Shape shape = null;
    long[] range = null;
    for (String field = json.nextName(); field != null; field = json.nextName()) {
      json.nextToken();
      switch (field) {
        case "dtype" -> type = type(name);
        case "shape" -> shape = shape(name);
        case "data_offsets" -> range = integers(name, "data_offsets", 2);
        default -> json.skipChildren();
      }
    }
    if (isName(name, at, "tensor")) {
      entry(name, at, type, shape, range);
    }
  }

  private void entry(String name, long at, ElementType type, Shape shape, long[] range) {
    if (type == null || shape == null || range == null || range.length != 2) {
      String found = "an entry without a valid dtype, shape or data_offsets";
      findings.add(name, at, found, "all three", REMEDY);
      return;
    }
    if (range[0] > range[1]) {
      String found = "data_offsets [" + range[0] + ", " + range[1] + "]";
      findings.add(name, at, found, "a begin that is not after the end", REMEDY);
      return;
    }
    try {
      long bytes = shape.bytes(type);
      if (bytes != range[1] - range[0]) {
        String found = range[1] - range[0] + " bytes of data";
        findings.add(name, at, found, bytes + " for " + type + " " + shape, REMEDY);
      }
    } catch (ArithmeticException e) {
      String found = "a size of " + type + " " + shape + " that is impossible: " + e.getMessage();
      findings.add(name, at, found, "whole bytes, less than 2^63", REMEDY);
    }
    tensors.add(new TensorEntry(name, type, shape, range[0], range[1]));
    if (tensors.size() > MAX_TENSORS) {
      findings.add(at, "more than " + MAX_TENSORS + " tensors", "fewer in one file", REMEDY);
      findings.throwIfAny();
    }
  }

  private ElementType type(String tensor) {
    String name = json.hasToken(JsonToken.VALUE_STRING) ? json.getString() : "";
    ElementType type = ElementType.named(name).orElse(null);
    if (type == null) {
      findings.add(tensor, here(), "dtype " + shown(), "one of " + types(), REMEDY);
      json.skipChildren();
    }
    return type;
  }

  private static String types() {
    return List.of(ElementType.values()).toString();
  }

  private Shape shape(String tensor) {
    long[] dims = integers(tensor, "shape", MAX_RANK);
    if (dims == null) {
      return null;
    }
    Shape shape = Shape.of(dims);
    Shape known = shapes.putIfAbsent(shape, shape);
    return known == null ? shape : known;
  }

  /// An array of at most `most` integers from 0 to 2^63 - 1; null when it is something else.
  private long[] integers(String tensor, String field, int most) {
    long at = here();
    String expected = "at most " + most + " integers from 0 to 2^63 - 1";
    if (!json.hasToken(JsonToken.START_ARRAY)) {
      findings.add(tensor, at, field + " " + shown(), expected, REMEDY);
      json.skipChildren();
      return null;
    }
    long[] values = new long[most];
    int count = 0;
    boolean good = true;
    while (json.nextToken() != JsonToken.END_ARRAY) {
      long value = natural();
      if (good && (value < 0 || count == most)) {
        String found = field + (value < 0 ? " with " + shown() : " of more than " + most);
        findings.add(tensor, here(), found, expected, REMEDY);
        good = false;
      }
      if (good) {
        values[count++] = value;
      }
      json.skipChildren();
    }
    return good ? Arrays.copyOf(values, count) : null;
  }

  /// The integer under the parser; -1 when there is none, or it is negative or too large.
  private long natural() {
    if (!json.hasToken(JsonToken.VALUE_NUMBER_INT)
        || json.getNumberType() == JsonParser.NumberType.BIG_INTEGER) {
      return -1;
    }
    long value = json.getLongValue();
    boolean minusZero = value == 0 && json.getString().startsWith("-");
    return value < 0 || minusZero ? -1 : value;
  }

  private boolean isName(String name, long at, String what) {
    if (!name.isEmpty()
        && isWellFormed(name)
        && name.codePoints().noneMatch(HeaderParser::control)) {
      return true;
    }
    String found = name.isEmpty() ? "an empty name" : "a name with control characters";
    findings.add(name, at, found, "a " + what + " name of printable characters", REMEDY);
    return false;
  }

  private static boolean control(int c) {
    return Character.isISOControl(c) || c == 0x2028 || c == 0x2029;
  }

  /// Whether every surrogate is one of a pair: JSON escapes can spell text that is no Unicode.
  private static boolean isWellFormed(String text) {
    return text.codePoints()
        .noneMatch(c -> c >= Character.MIN_SURROGATE && c <= Character.MAX_SURROGATE);
  }

  private String shown() {
    return switch (json.currentToken()) {
      case START_OBJECT -> "an object";
      case START_ARRAY -> "an array";
      default -> "'" + Findings.shortened(json.getString()) + "'";
    };
  }

  private long here() {
    return inFile(json.currentTokenLocation());
  }

  private static long inFile(TokenStreamLocation location) {
    return SafetensorsHeader.LENGTH_BYTES + Math.max(0, location.getByteOffset());
  }
}
