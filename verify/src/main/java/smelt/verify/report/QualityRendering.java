package smelt.verify.report;

import java.util.Locale;
import java.util.Optional;
import smelt.verify.quality.QualityReport;

/// The texts that a verification can be written as. All are deterministic: no time, no host, lines
/// end in `\n`; encode them as UTF-8.
public final class QualityRendering {

  /// How a report is written.
  public enum Format {
    /// Every figure, for programs: `smelt-verify/1`.
    JSON,
    /// A page for a CI job's summary.
    MD,
    /// Gates and layers as test cases.
    JUNIT,
    /// One self-contained page with plots.
    HTML;

    /// The name in `--report`.
    public String label() {
      return name().toLowerCase(Locale.ROOT);
    }

    /// The format of that name.
    public static Optional<Format> named(String name) {
      for (Format format : values()) {
        if (format.label().equals(name)) {
          return Optional.of(format);
        }
      }
      return Optional.empty();
    }
  }

  private QualityRendering() {}

  /// The whole text of a report in that format.
  public static String render(Format format, QualityReport report) {
    return switch (format) {
      case JSON -> QualityJson.render(report);
      case MD -> QualityMarkdown.render(report);
      case JUNIT -> QualityJunit.render(report);
      case HTML -> QualityHtml.render(report);
    };
  }
}
