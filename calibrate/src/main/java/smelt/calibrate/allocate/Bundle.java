package smelt.calibrate.allocate;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// Items that get one scheme: those of a group, or one alone.
///
/// @param items their numbers, in order
/// @param choices the schemes that all of them may have, in the order of the first; bytes and
///   errors are sums
record Bundle(List<Integer> items, List<Choice> choices) {

  /// In the order of each bundle's first item.
  ///
  /// @throws IllegalArgumentException for a group whose items have no scheme in common
  static List<Bundle> of(List<Item> items) {
    Map<String, List<Integer>> groups = new LinkedHashMap<>();
    for (int i = 0; i < items.size(); i++) {
      String alone = "\0" + i;
      groups.computeIfAbsent(items.get(i).group().orElse(alone), _ -> new ArrayList<>()).add(i);
    }
    return groups.values().stream().map(numbers -> of(items, numbers)).toList();
  }

  private static Bundle of(List<Item> items, List<Integer> numbers) {
    List<Item> own = numbers.stream().map(items::get).toList();
    List<Choice> common = new ArrayList<>();
    for (Choice first : own.getFirst().choices()) {
      String scheme = first.scheme();
      if (own.stream().allMatch(item -> allows(item, scheme))) {
        long bytes = 0;
        double error = 0;
        for (Item item : own) {
          bytes = Math.addExact(bytes, item.choice(scheme).bytes());
          error += item.choice(scheme).error();
        }
        common.add(new Choice(scheme, bytes, error));
      }
    }
    if (common.isEmpty()) {
      String names = String.join(", ", own.stream().map(Item::name).toList());
      throw new IllegalArgumentException("no scheme that all of " + names + " may have");
    }
    return new Bundle(numbers, common);
  }

  private static boolean allows(Item item, String scheme) {
    return item.find(scheme).isPresent() && item.pinned().map(scheme::equals).orElse(true);
  }
}
