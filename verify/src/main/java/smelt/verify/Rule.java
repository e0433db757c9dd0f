package smelt.verify;

import java.io.IOException;
import java.util.Set;

/// One named rule.
///
/// @param text what it is, for people
/// @param test what it does
record Rule(RuleText text, Test test) {

  /// Looks at the facts, and reports what is wrong. Says through `out` when it cannot apply.
  interface Test {
    void apply(Facts facts, Findings out) throws IOException;
  }

  static Rule any(String name, String reads, String meaning, Test test) {
    return new Rule(new RuleText(name, ServingRuntime.all(), reads, meaning), test);
  }

  static Rule of(
      String name, Set<ServingRuntime> runtimes, String reads, String meaning, Test test) {
    return new Rule(new RuleText(name, runtimes, reads, meaning), test);
  }

  String name() {
    return text.name();
  }
}
