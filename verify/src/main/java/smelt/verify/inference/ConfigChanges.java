package smelt.verify.inference;

import java.util.Map;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// What differs between two configs, key by key. The order of keys means nothing, null is as good
/// as absent, and numbers are equal when their values are, such as 1 and 1.0.
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
      for (String key : keys(a, b)) {
        compare(path.isEmpty() ? key : path + "." + key, a.path(key), b.path(key), changes);
      }
    } else if (!same(before, after)) {
      changes.put(path, text(before) + " -> " + text(after));
    }
  }

  private static boolean same(JsonNode before, JsonNode after) {
    if (absent(before) || absent(after)) {
      return absent(before) && absent(after);
    }
    if (before.isNumber() && after.isNumber()) {
      return before.decimalValue().compareTo(after.decimalValue()) == 0;
    }
    if (before instanceof ArrayNode a && after instanceof ArrayNode b) {
      boolean same = a.size() == b.size();
      for (int i = 0; same && i < a.size(); i++) {
        same = same(a.get(i), b.get(i));
      }
      return same;
    }
    if (before instanceof ObjectNode a && after instanceof ObjectNode b) {
      return keys(a, b).stream().allMatch(key -> same(a.path(key), b.path(key)));
    }
    return before.equals(after);
  }

  private static SortedSet<String> keys(ObjectNode a, ObjectNode b) {
    SortedSet<String> keys = new TreeSet<>(a.propertyNames());
    keys.addAll(b.propertyNames());
    return keys;
  }

  private static boolean absent(JsonNode node) {
    return node.isMissingNode() || node.isNull();
  }

  private static String text(JsonNode node) {
    if (absent(node)) {
      return "absent";
    }
    String text = node.toString();
    return text.length() <= LONGEST ? text : text.substring(0, LONGEST) + "...";
  }
}
