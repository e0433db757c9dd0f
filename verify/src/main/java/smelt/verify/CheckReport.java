package smelt.verify;

import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/// What a check has found.
///
/// @param location what was checked
/// @param runtimes the runtimes that it was checked for, sorted
/// @param why how these runtimes were chosen
/// @param findings by severity, then by rule
/// @param passed names of the rules that ran without a failure or warning, in the table's order
/// @param skipped rules that did not apply or could not run
/// @param figures sizes and counts, by name
public record CheckReport(
    String location,
    Set<ServingRuntime> runtimes,
    String why,
    List<Finding> findings,
    List<String> passed,
    List<Skipped> skipped,
    Map<String, Long> figures) {

  /// A rule that was not applied, and why.
  public record Skipped(String rule, String reason) {}

  public CheckReport {
    runtimes = java.util.Collections.unmodifiableSet(new TreeSet<>(runtimes));
    findings = List.copyOf(findings);
    passed = List.copyOf(passed);
    skipped = List.copyOf(skipped);
    figures = java.util.Collections.unmodifiableMap(new TreeMap<>(figures));
  }

  /// Whether any rule failed.
  public boolean failed() {
    return count(Severity.FAIL) > 0;
  }

  public long count(Severity severity) {
    return findings.stream().filter(finding -> finding.severity() == severity).count();
  }
}
