package smelt.converter.recipe;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.dataformat.yaml.YAMLFactory;
import tools.jackson.dataformat.yaml.YAMLParser;

/// A YAML document whose every part knows its line.
sealed interface YamlNode {

  /// Where the YAML library's messages name a place.
  Pattern PLACE = Pattern.compile("in reader, line ([0-9]{1,9}), column");

  /// Line in the file, from 1.
  int line();

  /// What it is, for messages.
  String kind();

  /// A string, number or truth value, as written.
  record Scalar(String text, int line) implements YamlNode {
    @Override
    public String kind() {
      return "'" + text + "'";
    }
  }

  /// A key without a value, or `null`.
  record Nothing(int line) implements YamlNode {
    @Override
    public String kind() {
      return "nothing";
    }
  }

  record Sequence(List<YamlNode> items, int line) implements YamlNode {
    @Override
    public String kind() {
      return "a list";
    }
  }

  /// Keys in the order of the file, with repeated ones.
  record Mapping(List<Entry> entries, int line) implements YamlNode {
    @Override
    public String kind() {
      return "a map";
    }
  }

  record Entry(String key, YamlNode value, int line) {}

  /// Reads the one document of a file.
  ///
  /// @param where the file's name, for messages
  /// @throws RecipeException if it is not YAML, has aliases, or has several documents
  static YamlNode read(String where, String text) {
    try (JsonParser parser =
        YAMLFactory.builder().build().createParser(ObjectReadContext.empty(), text)) {
      JsonToken first = parser.nextToken();
      YamlNode root = first == null ? new Nothing(1) : node((YAMLParser) parser, where);
      if (parser.nextToken() != null) {
        throw refuse(where, line(parser), "a second document", "one document", "keep one of them");
      }
      return root;
    } catch (JacksonException e) {
      throw malformed(where, String.valueOf(e.getOriginalMessage()));
    }
  }

  private static YamlNode node(YAMLParser parser, String where) {
    int line = line(parser);
    if (parser.isCurrentAlias()) {
      throw refuse(where, line, "an alias", "plain values", "write the value out");
    }
    return switch (parser.currentToken()) {
      case START_OBJECT -> mapping(parser, where, line);
      case START_ARRAY -> sequence(parser, where, line);
      case VALUE_NULL -> new Nothing(line);
      default -> new Scalar(parser.getString(), line);
    };
  }

  private static YamlNode mapping(YAMLParser parser, String where, int line) {
    List<Entry> entries = new ArrayList<>();
    while (parser.nextToken() != JsonToken.END_OBJECT) {
      String key = parser.currentName();
      int keyLine = line(parser);
      parser.nextToken();
      entries.add(new Entry(key, node(parser, where), keyLine));
    }
    return new Mapping(entries, line);
  }

  private static YamlNode sequence(YAMLParser parser, String where, int line) {
    List<YamlNode> items = new ArrayList<>();
    while (parser.nextToken() != JsonToken.END_ARRAY) {
      items.add(node(parser, where));
    }
    return new Sequence(items, line);
  }

  /// The YAML library's message has lines of text, each followed by its place and an excerpt; the
  /// last place is that of the mistake.
  private static RecipeException malformed(String where, String message) {
    int line = 1;
    Matcher place = PLACE.matcher(message);
    while (place.find()) {
      line = Integer.parseInt(place.group(1));
    }
    String what =
        message
            .lines()
            .filter(text -> !text.isBlank() && !Character.isWhitespace(text.charAt(0)))
            .collect(Collectors.joining(", "));
    return refuse(
        where, line, "no YAML (" + what + ")", "a YAML document", "see 'smelt recipes NAME'");
  }

  private static int line(JsonParser parser) {
    return Math.max(1, parser.currentTokenLocation().getLineNr());
  }

  private static RecipeException refuse(
      String where, int line, String found, String expected, String remedy) {
    return new RecipeException(where + " line " + line, found, expected, remedy);
  }
}
