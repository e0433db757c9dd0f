package smelt.converter.report;

import java.util.Locale;
import java.util.Optional;

/// How a report is written.
public enum ReportFormat {
  JSON,
  MD,
  JUNIT;

  /// The name in `--report`.
  public String label() {
    return name().toLowerCase(Locale.ROOT);
  }

  /// The format of that name.
  public static Optional<ReportFormat> named(String name) {
    for (ReportFormat format : values()) {
      if (format.label().equals(name)) {
        return Optional.of(format);
      }
    }
    return Optional.empty();
  }

  /// The whole text of a report in this format.
  public String render(Report report) {
    return switch (this) {
      case JSON -> JsonReport.render(report);
      case MD -> MarkdownReport.render(report);
      case JUNIT -> JunitReport.render(report);
    };
  }
}
