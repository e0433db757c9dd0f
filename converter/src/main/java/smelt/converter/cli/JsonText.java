package smelt.converter.cli;

import tools.jackson.core.json.JsonWriteFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/// Answers as JSON: indented, in ASCII, so that no name in it can steer a terminal.
final class JsonText {

  private static final JsonMapper MAPPER =
      JsonMapper.builder()
          .enable(JsonWriteFeature.ESCAPE_NON_ASCII)
          .enable(SerializationFeature.INDENT_OUTPUT)
          .build();

  private JsonText() {}

  static String of(JsonNode node) {
    return MAPPER.writeValueAsString(node);
  }
}
