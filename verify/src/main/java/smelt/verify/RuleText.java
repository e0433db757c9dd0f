package smelt.verify;

import java.util.EnumSet;
import java.util.Set;

/// A rule as people read it.
///
/// @param name stable, in kebab case
/// @param runtimes whom it concerns
/// @param reads what it looks at: `headers`, `config`, `index`, `data`, `manifest`, ...
/// @param meaning what must hold
public record RuleText(String name, Set<ServingRuntime> runtimes, String reads, String meaning) {

  public RuleText {
    runtimes = Set.copyOf(runtimes);
  }

  /// The runtimes as one text, `any` for all.
  public String runtimeLabels() {
    return ServingRuntime.labels(EnumSet.copyOf(runtimes));
  }
}
