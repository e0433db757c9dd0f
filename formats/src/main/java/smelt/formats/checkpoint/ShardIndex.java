package smelt.formats.checkpoint;

import java.io.IOException;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.OptionalLong;
import java.util.regex.Pattern;
import smelt.formats.BadInputException;
import smelt.formats.source.ModelSource;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.TokenStreamFactory;
import tools.jackson.core.json.JsonFactory;

/// An index, such as `model.safetensors.index.json`: which shard holds which tensor.
///
///     {"metadata": {"total_size": 11702012}, "weight_map": {"<tensor>": "<file>", ...}}
///
/// Reading is strict: no duplicate keys, `weight_map` maps strings to strings and is there once.
/// `metadata` is optional, and so is everything in it.
///
/// @param file the index's own name
/// @param weightMap tensor to shard, in the file's order
/// @param totalSize `metadata.total_size` where it is a whole number; writers differ in whether it
///     counts headers, so nothing is concluded from it here
public record ShardIndex(String file, Map<String, String> weightMap, OptionalLong totalSize) {

  /// Ending of an index's name.
  public static final String ENDING = ".safetensors.index.json";

  /// Largest index that is read, in bytes.
  public static final long SIZE_LIMIT = 256L << 20;

  /// Names are not canonicalized: they are all different, and a table of them costs as much time as
  /// the parsing.
  private static final JsonFactory JSON =
      JsonFactory.builder()
          .disable(TokenStreamFactory.Feature.CANONICALIZE_PROPERTY_NAMES)
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .build();

  private static final Pattern SHARD_NAME =
      Pattern.compile("(?:[A-Za-z0-9_-][A-Za-z0-9._-]*/)*[A-Za-z0-9_-][A-Za-z0-9._-]*");

  public ShardIndex {
    weightMap = Collections.unmodifiableMap(new LinkedHashMap<>(weightMap));
  }

  /// Whether a shard may have this name: relative, of letters, digits, `.`, `_` and `-`, no part
  /// starting with a dot.
  public static boolean isShardName(String name) {
    return SHARD_NAME.matcher(name).matches();
  }

  /// Reads an index.
  ///
  /// @throws BadInputException if it is not of the form above
  public static ShardIndex read(ModelSource source, String file) throws IOException {
    byte[] json = source.readSmall(file, SIZE_LIMIT);
    try (JsonParser parser = JSON.createParser(ObjectReadContext.empty(), json)) {
      return parse(file, parser);
    } catch (JacksonException e) {
      throw bad(file, e.getOriginalMessage());
    }
  }

  private static ShardIndex parse(String file, JsonParser parser) {
    Map<String, String> weightMap = null;
    OptionalLong totalSize = OptionalLong.empty();
    if (parser.nextToken() != JsonToken.START_OBJECT) {
      throw bad(file, "JSON that is not an object");
    }
    while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
      String key = parser.currentName();
      parser.nextToken();
      switch (key) {
        case "weight_map" -> weightMap = weightMap(file, parser);
        case "metadata" -> totalSize = totalSize(parser);
        default -> parser.skipChildren();
      }
    }
    if (weightMap == null) {
      throw bad(file, "no weight_map");
    }
    if (parser.nextToken() != null) {
      throw bad(file, "text after the JSON object");
    }
    return new ShardIndex(file, weightMap, totalSize);
  }

  private static Map<String, String> weightMap(String file, JsonParser parser) {
    if (parser.currentToken() != JsonToken.START_OBJECT) {
      throw bad(file, "a weight_map that is not an object");
    }
    Map<String, String> map = new LinkedHashMap<>();
    Map<String, String> shards = new LinkedHashMap<>();
    while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
      String tensor = parser.currentName();
      if (parser.nextToken() != JsonToken.VALUE_STRING) {
        throw bad(file, "a shard of tensor " + tensor + " that is not a string");
      }
      String shard = parser.getString();
      map.put(tensor, shards.computeIfAbsent(shard, s -> s));
    }
    return map;
  }

  private static OptionalLong totalSize(JsonParser parser) {
    OptionalLong size = OptionalLong.empty();
    if (parser.currentToken() != JsonToken.START_OBJECT) {
      parser.skipChildren();
      return size;
    }
    while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
      boolean isSize = parser.currentName().equals("total_size");
      JsonToken value = parser.nextToken();
      if (isSize && value == JsonToken.VALUE_NUMBER_INT && fitsLong(parser)) {
        size = OptionalLong.of(parser.getLongValue());
      }
      parser.skipChildren();
    }
    return size;
  }

  private static boolean fitsLong(JsonParser parser) {
    return parser.getNumberType() != JsonParser.NumberType.BIG_INTEGER;
  }

  private static BadInputException bad(String file, String found) {
    return new BadInputException(
        file,
        found,
        "{\"metadata\": {...}, \"weight_map\": {tensor: shard, ...}} without duplicate keys",
        "download the index again, or repair it");
  }
}
