package smelt.converter.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import smelt.converter.report.Report;
import smelt.verify.Check;
import smelt.verify.CheckReport;
import smelt.verify.Finding;
import smelt.verify.RuleText;
import smelt.verify.Severity;

/// What `smelt check` has found, for people.
final class CheckText {

  private static final int SHOWN_OF_A_RULE = 10;

  private CheckText() {}

  static void lines(CheckReport report, Terminal terminal) {
    terminal.answer(report.location() + ": " + report.why());
    String rule = "";
    int ofRule = 0;
    for (Finding finding : report.findings()) {
      ofRule = finding.rule().equals(rule) ? ofRule + 1 : 1;
      rule = finding.rule();
      if (ofRule <= SHOWN_OF_A_RULE) {
        terminal.answer(colour(finding.severity()), head(finding));
        terminal.answer("    found " + finding.found());
        terminal.answer("    expected " + finding.expected());
        terminal.answer("    " + finding.consequence());
      } else if (ofRule == SHOWN_OF_A_RULE + 1) {
        terminal.answer("... and more of " + rule + " (--json lists all)");
      }
    }
    terminal.answer(report.failed() ? Terminal.Colour.RED : Terminal.Colour.GREEN, sum(report));
  }

  private static String head(Finding finding) {
    return finding.severity().label() + " " + finding.rule() + ": " + finding.where();
  }

  private static Terminal.Colour colour(Severity severity) {
    return switch (severity) {
      case FAIL -> Terminal.Colour.RED;
      case WARN -> Terminal.Colour.YELLOW;
      case NOTE -> Terminal.Colour.BOLD;
    };
  }

  private static String sum(CheckReport report) {
    return String.format(
        Locale.ROOT,
        "%d rules passed, %d skipped; %,d failures, %,d warnings, %,d notes; %,d tensors, %,d bytes"
            + " of data read",
        report.passed().size(),
        report.skipped().size(),
        report.count(Severity.FAIL),
        report.count(Severity.WARN),
        report.count(Severity.NOTE),
        report.figures().get("tensors"),
        report.figures().get("data_bytes_read"));
  }

  /// The same as a report: a check for each rule; warnings and notes are its detail.
  static Report report(CheckReport found) {
    Map<String, List<Finding>> byRule =
        found.findings().stream().collect(Collectors.groupingBy(Finding::rule));
    Map<String, String> skipped =
        found.skipped().stream()
            .collect(Collectors.toMap(CheckReport.Skipped::rule, CheckReport.Skipped::reason));
    List<Report.Check> checks = new ArrayList<>();
    for (RuleText rule : Check.rules()) {
      List<Finding> findings = byRule.getOrDefault(rule.name(), List.of());
      boolean failed = findings.stream().anyMatch(f -> f.severity() == Severity.FAIL);
      if (skipped.containsKey(rule.name())) {
        checks.add(new Report.Check(rule.name(), Report.Outcome.SKIPPED, skipped.get(rule.name())));
      } else {
        String detail = findings.stream().map(Finding::text).collect(Collectors.joining("\n"));
        checks.add(
            new Report.Check(
                rule.name(), failed ? Report.Outcome.FAILED : Report.Outcome.PASSED, detail));
      }
    }
    List<Report.Figure> figures =
        found.figures().entrySet().stream()
            .map(e -> new Report.Figure(e.getKey(), e.getValue().toString(), unit(e.getKey())))
            .toList();
    return new Report(
        "smelt check " + found.location(), List.of(new Report.Section("check", checks, figures)));
  }

  private static String unit(String figure) {
    return figure.contains("bytes") ? "bytes" : "";
  }
}
