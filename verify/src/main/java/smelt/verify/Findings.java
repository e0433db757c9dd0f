package smelt.verify;

import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/// Collects what one rule finds, for the runtimes that were asked for.
final class Findings {

  private final RuleText rule;
  private final Set<ServingRuntime> wanted;
  private final List<Finding> findings = new ArrayList<>();
  private Optional<String> skipped = Optional.empty();

  Findings(RuleText rule, Set<ServingRuntime> wanted) {
    this.rule = rule;
    this.wanted = wanted;
  }

  void fail(String where, String found, String expected, String consequence) {
    add(Severity.FAIL, rule.runtimes(), where, found, expected, consequence);
  }

  void warn(String where, String found, String expected, String consequence) {
    add(Severity.WARN, rule.runtimes(), where, found, expected, consequence);
  }

  void note(String where, String found, String expected, String consequence) {
    add(Severity.NOTE, rule.runtimes(), where, found, expected, consequence);
  }

  /// A finding for some runtimes only; dropped when none of them was asked for.
  void add(
      Severity severity,
      Set<ServingRuntime> concerned,
      String where,
      String found,
      String expected,
      String consequence) {
    Set<ServingRuntime> both = EnumSet.noneOf(ServingRuntime.class);
    both.addAll(concerned);
    both.retainAll(wanted);
    if (!both.isEmpty()) {
      findings.add(new Finding(rule.name(), severity, both, where, found, expected, consequence));
    }
  }

  /// The rule does not apply, or cannot be answered from what is there.
  void skip(String reason) {
    skipped = Optional.of(reason);
  }

  boolean wants(ServingRuntime runtime) {
    return wanted.contains(runtime);
  }

  List<Finding> findings() {
    return findings;
  }

  /// Why the rule was skipped; what it found nevertheless counts.
  Optional<String> skipped() {
    return findings.isEmpty() ? skipped : Optional.empty();
  }
}
