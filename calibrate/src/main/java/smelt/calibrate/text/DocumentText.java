package smelt.calibrate.text;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.util.Optional;
import java.util.stream.IntStream;
import smelt.formats.BadInputException;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// A document as it is written: a text, or the ids of its tokens.
///
/// @param name `id` of a JSON line
/// @param source `source` of a JSON line
record DocumentText(Optional<String> name, Optional<String> source, Content content) {

  /// A closed set.
  sealed interface Content {

    record Text(String text) implements Content {}

    /// @param ids whole numbers from 0 to 2^31 - 1
    record Ids(IdList ids) implements Content {}
  }

  /// Numbers that nobody changes.
  static final class IdList {
    private final int[] ids;

    private IdList(int[] ids) {
      this.ids = ids;
    }

    int[] copy() {
      return ids.clone();
    }
  }

  private static final JsonMapper MAPPER =
      JsonMapper.builder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  private static final int LONGEST_NAME = 200;
  private static final String EXPECTED =
      "{\"text\": \"...\"} or {\"ids\": [...]}, with \"id\" and \"source\" if you like, or [...] of ids";

  /// Plain text.
  ///
  /// @param where file and line, for messages
  static DocumentText plain(String where, ByteBuffer bytes) {
    return new DocumentText(
        Optional.empty(), Optional.empty(), new Content.Text(decode(where, bytes)));
  }

  /// One JSON line; empty for a blank one.
  ///
  /// @param where file and line, for messages
  static Optional<DocumentText> json(String where, ByteBuffer bytes) {
    String line = decode(where, bytes);
    if (line.isBlank()) {
      return Optional.empty();
    }
    try {
      return Optional.of(of(where, MAPPER.readTree(line)));
    } catch (JacksonException e) {
      throw wrong(where, e.getOriginalMessage());
    }
  }

  private static DocumentText of(String where, JsonNode node) {
    if (node.isArray()) {
      return new DocumentText(Optional.empty(), Optional.empty(), ids(where, node));
    }
    JsonNode text = node.path("text");
    JsonNode ids = node.path("ids");
    if (text.isString() == ids.isArray()) {
      throw wrong(where, text.isString() ? "text and ids" : "neither text nor ids");
    }
    Content content = text.isString() ? new Content.Text(text.stringValue()) : ids(where, ids);
    return new DocumentText(label(node.path("id")), label(node.path("source")), content);
  }

  private static Content ids(String where, JsonNode array) {
    for (JsonNode id : array) {
      if (!id.isIntegralNumber() || !id.canConvertToInt() || id.intValue() < 0) {
        String shown = id.toString();
        throw wrong(
            where, "the id " + (shown.length() > 40 ? shown.substring(0, 40) + "..." : shown));
      }
    }
    IntStream values = array.valueStream().mapToInt(JsonNode::intValue);
    return new Content.Ids(new IdList(values.toArray()));
  }

  private static Optional<String> label(JsonNode node) {
    if (!node.isString() && !node.isNumber()) {
      return Optional.empty();
    }
    String text = node.asString();
    return Optional.of(text.length() > LONGEST_NAME ? text.substring(0, LONGEST_NAME) : text);
  }

  private static String decode(String where, ByteBuffer bytes) {
    try {
      return UTF_8.newDecoder().decode(bytes).toString();
    } catch (CharacterCodingException e) {
      throw new BadInputException(
          where, "bytes that are not UTF-8", "text in UTF-8", "convert the file, as with iconv");
    }
  }

  private static BadInputException wrong(String where, String found) {
    return new BadInputException(where, found, EXPECTED, "correct this line");
  }
}
