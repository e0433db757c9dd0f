package smelt.converter.diff;

import java.util.ArrayList;
import java.util.List;
import java.util.SortedSet;
import java.util.TreeSet;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// Compares two configs key by key; the order of keys means nothing.
final class ConfigDiff {

  private ConfigDiff() {}

  /// The keys that differ, as JSON pointers, sorted.
  static List<ModelDiff.ConfigKey> of(ObjectNode a, ObjectNode b) {
    List<ModelDiff.ConfigKey> found = new ArrayList<>();
    compare("", a, b, found);
    return found;
  }

  private static void compare(
      String pointer, JsonNode a, JsonNode b, List<ModelDiff.ConfigKey> found) {
    if (a instanceof ObjectNode objectA && b instanceof ObjectNode objectB) {
      SortedSet<String> keys = new TreeSet<>(objectA.propertyNames());
      keys.addAll(objectB.propertyNames());
      for (String key : keys) {
        String inner = pointer + "/" + key.replace("~", "~0").replace("/", "~1");
        compare(inner, a.path(key), b.path(key), found);
      }
    } else if (!a.equals(b)) {
      found.add(new ModelDiff.ConfigKey(pointer, text(a), text(b)));
    }
  }

  private static String text(JsonNode node) {
    return node.isMissingNode() ? "absent" : node.toString();
  }
}
