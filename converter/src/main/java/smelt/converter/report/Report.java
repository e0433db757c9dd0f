package smelt.converter.report;

import java.util.List;

/// What a command found: named checks and figures, in sections.
public record Report(String title, List<Section> sections) {

  public Report {
    sections = List.copyOf(sections);
  }

  /// Checks and figures that belong together, such as those of one layer or one rule set.
  public record Section(String name, List<Check> checks, List<Figure> figures) {
    public Section {
      checks = List.copyOf(checks);
      figures = List.copyOf(figures);
    }
  }

  /// One check and how it ended.
  ///
  /// @param detail what was seen; why, for a check that failed or was skipped; may be empty
  public record Check(String name, Outcome outcome, String detail) {}

  /// How a check ended.
  public enum Outcome {
    PASSED,
    FAILED,
    /// Could not be made; the detail says why.
    SKIPPED
  }

  /// One number.
  ///
  /// @param value as it is to be read, such as `1.84` or `688574839360`
  /// @param unit such as `GB/s`; empty for a plain count
  public record Figure(String name, String value, String unit) {}

  /// Number of checks that ended so.
  public long count(Outcome outcome) {
    return sections.stream()
        .flatMap(section -> section.checks().stream())
        .filter(check -> check.outcome() == outcome)
        .count();
  }
}
