package smelt.converter.recipe;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import smelt.converter.DidYouMean;

/// The keys of one map of a recipe. Collects what is wrong instead of stopping at the first.
final class Fields {

  private final Mistakes mistakes;
  private final Map<String, YamlNode> values = new HashMap<>();

  /// Takes the known keys; those that are unknown or repeated are mistakes.
  Fields(Mistakes mistakes, YamlNode.Mapping map, List<String> known) {
    this.mistakes = mistakes;
    Map<String, Integer> lines = new HashMap<>();
    for (YamlNode.Entry entry : map.entries()) {
      Integer before = lines.putIfAbsent(entry.key(), entry.line());
      if (!known.contains(entry.key())) {
        String remedy = DidYouMean.remedy(entry.key(), known, "remove it, or see 'smelt recipes'");
        String expected = "one of " + String.join(", ", known);
        mistakes.add(entry.line(), "unknown key '" + entry.key() + "'", expected, remedy);
      } else if (before != null) {
        String found = "key '" + entry.key() + "' again (first in line " + before + ")";
        mistakes.add(entry.line(), found, "each key once", "keep one of them");
      } else {
        values.put(entry.key(), entry.value());
      }
    }
  }

  Optional<YamlNode> node(String key) {
    return Optional.ofNullable(values.get(key));
  }

  /// The text of a key; a list or map there is a mistake.
  Optional<YamlNode.Scalar> scalar(String key, String expected) {
    return switch (values.get(key)) {
      case null -> Optional.empty();
      case YamlNode.Scalar scalar -> Optional.of(scalar);
      case YamlNode other -> {
        mistakes.add(
            other.line(), key + ": " + other.kind(), expected, "write one value after the key");
        yield Optional.empty();
      }
    };
  }

  /// The items of a list; a single value counts as a list of one, nothing as an empty list.
  List<YamlNode> items(String key) {
    return switch (values.get(key)) {
      case null -> List.of();
      case YamlNode.Sequence sequence -> sequence.items();
      case YamlNode.Nothing _ -> List.of();
      case YamlNode.Scalar scalar when scalar.text().isEmpty() -> List.of();
      case YamlNode single -> List.of(single);
    };
  }

  /// One of several words.
  <T> T choice(String key, Map<String, T> choices, T otherwise) {
    String expected = String.join(" or ", choices.keySet().stream().sorted().toList());
    Optional<YamlNode.Scalar> scalar = scalar(key, expected);
    if (scalar.isEmpty()) {
      return otherwise;
    }
    String word = scalar.get().text();
    T chosen = choices.get(word);
    if (chosen == null) {
      String remedy = DidYouMean.remedy(word, choices.keySet(), "write one of them");
      mistakes.add(scalar.get().line(), key + ": '" + word + "'", expected, remedy);
      return otherwise;
    }
    return chosen;
  }

  /// The keys of another map of the same file; its mistakes join these.
  Fields inner(YamlNode.Mapping map, List<String> known) {
    return new Fields(mistakes, map, known);
  }
}
