package smelt.calibrate.text;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import smelt.formats.BadInputException;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.json.JsonFactory;

/// Reads `tokenizer.json` before the native library does: that one ends the whole process at some
/// faults of JSON, where it should refuse the file.
final class TokenizerJson {

  /// The native library takes 128 levels.
  private static final int DEEPEST = 100;

  private static final JsonFactory FACTORY =
      JsonFactory.builder()
          .streamReadConstraints(StreamReadConstraints.builder().maxNestingDepth(DEEPEST).build())
          .build();

  private TokenizerJson() {}

  /// The text of a file that is one JSON object whose strings are whole characters and whose
  /// numbers are finite.
  ///
  /// @param where the file, for messages
  /// @throws BadInputException if it is not
  static String text(String where, byte[] bytes) {
    try {
      String text = UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
      check(where, text);
      return text;
    } catch (CharacterCodingException _) {
      throw bad(where, "bytes that are not UTF-8");
    } catch (JacksonException e) {
      throw bad(where, e.getOriginalMessage());
    }
  }

  private static void check(String where, String text) {
    try (JsonParser parser = FACTORY.createParser(ObjectReadContext.empty(), text)) {
      JsonToken token = parser.nextToken();
      if (token != JsonToken.START_OBJECT) {
        throw bad(where, token == null ? "nothing" : "JSON that is no object");
      }
      int depth = 0;
      do {
        depth += token.isStructStart() ? 1 : token.isStructEnd() ? -1 : 0;
        boolean fits =
            switch (token) {
              case PROPERTY_NAME, VALUE_STRING -> HalfPairs.first(parser.getString()) < 0;
              case VALUE_NUMBER_FLOAT -> Double.isFinite(parser.getDoubleValue());
              default -> true;
            };
        if (!fits) {
          String line = " in line " + parser.currentTokenLocation().getLineNr();
          throw bad(
              where,
              (token == JsonToken.VALUE_NUMBER_FLOAT
                      ? "a number out of range"
                      : "half of a surrogate pair")
                  + line);
        }
        token = parser.nextToken();
      } while (depth > 0);
      if (token != null) {
        throw bad(where, "more behind the object");
      }
    }
  }

  private static BadInputException bad(String where, String found) {
    return new BadInputException(
        where, found, "one JSON object", "copy the file again from where the model was published");
  }
}
