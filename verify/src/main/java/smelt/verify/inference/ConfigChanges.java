package smelt.verify.inference;

import java.util.Map;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// What differs between two configs, key by key; the order of keys means nothing.
final class ConfigChanges {

  private static final int LONGEST = 120;

  private ConfigChanges() {}

  /// From key, such as `rope_scaling.factor`, to `before -> after`. A group of keys that only one
  /// config has is one change.
  static Map<String, String> of(ObjectNode before, ObjectNode after) {
    Map<String, String> changes = new TreeMap<>();
    compare("", before, after, changes);
    return changes;
  }

  private static void compare(
      String path, JsonNode before, JsonNode after, Map<String, String> changes) {
    if (before instanceof ObjectNode a && after instanceof ObjectNode b) {
      SortedSet<String> keys = new TreeSet<>(a.propertyNames());
      keys.addAll(b.propertyNames());
      for (String key : keys) {
        compare(path.isEmpty() ? key : path + "." + key, a.path(key), b.path(key), changes);
      }
    } else if (!before.equals(after)) {
      changes.put(path, text(before) + " -> " + text(after));
    }
  }

  private static String text(JsonNode node) {
    if (node.isMissingNode()) {
      return "absent";
    }
    String text = node.toString();
    return text.length() <= LONGEST ? text : text.substring(0, LONGEST) + "...";
  }
}
