package smelt.calibrate.allocate;

import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/// A part of a model that gets one scheme.
///
/// @param group parts of one group get the same scheme: gate and up of a unit, all experts of a
///   layer where a runtime wants them alike; empty: it may have its own
/// @param pinned the scheme that it gets in any case; empty: any of its choices
/// @param choices at least one; each scheme once
public record Item(
    String name, Optional<String> group, Optional<String> pinned, List<Choice> choices) {
  public Item {
    choices = List.copyOf(choices);
    Set<String> schemes = new HashSet<>();
    for (Choice choice : choices) {
      if (!schemes.add(choice.scheme())) {
        throw new IllegalArgumentException(name + ": " + choice.scheme() + " twice");
      }
    }
    if (choices.isEmpty() || (pinned.isPresent() && !schemes.contains(pinned.get()))) {
      throw new IllegalArgumentException(name + ": one of " + schemes + ", pinned " + pinned);
    }
  }

  /// A part by itself.
  public static Item of(String name, List<Choice> choices) {
    return new Item(name, Optional.empty(), Optional.empty(), choices);
  }

  /// The same in a group.
  public Item inGroup(String other) {
    return new Item(name, Optional.of(other), pinned, choices);
  }

  /// The same with a scheme that is not to be chosen.
  public Item pinnedTo(String scheme) {
    return new Item(name, group, Optional.of(scheme), choices);
  }

  /// The choice of a scheme.
  public Choice choice(String scheme) {
    return find(scheme).orElseThrow(() -> new IllegalArgumentException(name + " in " + scheme));
  }

  Optional<Choice> find(String scheme) {
    return choices.stream().filter(choice -> choice.scheme().equals(scheme)).findFirst();
  }
}
