package smelt.verify;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.Function;
import smelt.formats.BadInputException;
import smelt.formats.source.ModelSource;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.MapperFeature;
import tools.jackson.databind.json.JsonMapper;

/// JSON files from strangers: duplicate keys are refused, sizes are limited, types are not coerced.
final class Json {

  static final JsonMapper MAPPER =
      JsonMapper.builder(
              JsonFactory.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build())
          .disable(MapperFeature.ALLOW_COERCION_OF_SCALARS)
          .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
          .enable(DeserializationFeature.FAIL_ON_MISSING_CREATOR_PROPERTIES)
          .enable(DeserializationFeature.FAIL_ON_NULL_CREATOR_PROPERTIES)
          .build();

  private Json() {}

  /// Reads a JSON object from a file of the model.
  ///
  /// @param parse makes the value; may throw `IllegalArgumentException` to say what is wrong
  static <T> Document<T> read(
      ModelSource source, String file, long limit, Function<JsonNode, T> parse) throws IOException {
    return readBytes(source, file, limit, bytes -> parse.apply(object(MAPPER.readTree(bytes))));
  }

  /// Reads a file of the model that `parse` understands.
  static <T> Document<T> readBytes(
      ModelSource source, String file, long limit, Function<byte[], T> parse) throws IOException {
    if (!source.names().contains(file)) {
      return new Document.Absent<>();
    }
    try {
      return new Document.Read<>(file, parse.apply(source.readSmall(file, limit)));
    } catch (JacksonException e) {
      return new Document.Broken<>(file, "no valid JSON: " + e.getOriginalMessage(), "valid JSON");
    } catch (IllegalArgumentException e) {
      return new Document.Broken<>(file, String.valueOf(e.getMessage()), "its documented form");
    } catch (BadInputException e) {
      return new Document.Broken<>(file, e.getMessage(), "a file of at most " + limit + " bytes");
    }
  }

  private static JsonNode object(JsonNode node) {
    if (!node.isObject()) {
      throw new IllegalArgumentException("JSON that is not an object");
    }
    return node;
  }

  /// A field's text; empty when it is absent or null.
  ///
  /// @throws IllegalArgumentException if it is something else
  static Optional<String> text(JsonNode object, String key) {
    JsonNode node = object.path(key);
    if (node.isMissingNode() || node.isNull()) {
      return Optional.empty();
    }
    if (!node.isString()) {
      throw new IllegalArgumentException("'" + key + "' is " + node + ", not a text");
    }
    return Optional.of(node.stringValue());
  }

  /// A field's whole number; empty when it is absent or null, or not such a number.
  static OptionalInt integer(JsonNode object, String key) {
    JsonNode node = object.path(key);
    return node.isIntegralNumber() && node.canConvertToInt()
        ? OptionalInt.of(node.intValue())
        : OptionalInt.empty();
  }

  /// A field's list of texts; empty when it is absent or null.
  ///
  /// @throws IllegalArgumentException if it is something else
  static List<String> texts(JsonNode object, String key) {
    JsonNode node = object.path(key);
    if (node.isMissingNode() || node.isNull()) {
      return List.of();
    }
    if (!node.isArray()) {
      throw new IllegalArgumentException("'" + key + "' is " + node + ", not a list");
    }
    List<String> texts = new ArrayList<>();
    for (JsonNode element : node) {
      if (!element.isString()) {
        throw new IllegalArgumentException("'" + key + "' holds " + element + ", not a text");
      }
      texts.add(element.stringValue());
    }
    return texts;
  }
}
