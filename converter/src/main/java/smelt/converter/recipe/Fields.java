package smelt.converter.recipe;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import smelt.converter.DidYouMean;
import smelt.formats.Problem;

/// The keys of one map of a recipe. Collects what is wrong instead of stopping at the first.
final class Fields {

  private final String file;
  private final List<Problem> problems;
  private final Map<String, YamlNode> values = new HashMap<>();

  /// Takes the known keys; names those that are unknown or repeated as problems.
  Fields(String file, List<Problem> problems, YamlNode.Mapping map, List<String> known) {
    this.file = file;
    this.problems = problems;
    Map<String, Integer> lines = new HashMap<>();
    for (YamlNode.Entry entry : map.entries()) {
      Integer before = lines.putIfAbsent(entry.key(), entry.line());
      if (!known.contains(entry.key())) {
        String remedy = DidYouMean.remedy(entry.key(), known, "remove it, or see 'smelt recipes'");
        String expected = "one of " + String.join(", ", known);
        problem(entry.line(), "unknown key '" + entry.key() + "'", expected, remedy);
      } else if (before != null) {
        String found = "key '" + entry.key() + "' again (first in line " + before + ")";
        problem(entry.line(), found, "each key once", "keep one of them");
      } else {
        values.put(entry.key(), entry.value());
      }
    }
  }

  void problem(int line, String found, String expected, String remedy) {
    problems.add(new Problem(file + " line " + line, found, expected, remedy));
  }

  Optional<YamlNode> node(String key) {
    return Optional.ofNullable(values.get(key));
  }

  /// The text of a key; a list or map there is a problem.
  Optional<YamlNode.Scalar> scalar(String key, String expected) {
    return switch (values.get(key)) {
      case null -> Optional.empty();
      case YamlNode.Scalar scalar -> Optional.of(scalar);
      case YamlNode other -> {
        problem(other.line(), key + ": " + other.kind(), expected, "write one value after the key");
        yield Optional.empty();
      }
    };
  }

  /// The items of a list; a single value counts as a list of one.
  List<YamlNode> items(String key) {
    return switch (values.get(key)) {
      case null -> List.of();
      case YamlNode.Sequence sequence -> sequence.items();
      case YamlNode.Nothing nothing -> {
        problem(nothing.line(), key + ": nothing", "a list", "fill it, or remove the key");
        yield List.of();
      }
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
      problem(scalar.get().line(), key + ": '" + word + "'", expected, remedy);
      return otherwise;
    }
    return chosen;
  }

  /// The keys of another map of the same file; its problems join these.
  Fields inner(YamlNode.Mapping map, List<String> known) {
    return new Fields(file, problems, map, known);
  }
}
