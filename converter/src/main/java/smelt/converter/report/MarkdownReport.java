package smelt.converter.report;

import java.util.Locale;

/// Tables for a person or a CI summary. Names come from models, so what Markdown or HTML would
/// interpret is escaped.
final class MarkdownReport {

  private static final String SPECIAL = "\\`*_{}[]()#+!|<>&~$@";

  private MarkdownReport() {}

  static String render(Report report) {
    StringBuilder out = new StringBuilder();
    out.append("# ").append(escape(report.title())).append("\n\n");
    out.append(
        String.format(
            Locale.ROOT,
            "%d passed, %d failed, %d skipped%n",
            report.count(Report.Outcome.PASSED),
            report.count(Report.Outcome.FAILED),
            report.count(Report.Outcome.SKIPPED)));
    report.sections().forEach(section -> section(out, section));
    return out.toString();
  }

  private static void section(StringBuilder out, Report.Section section) {
    out.append("\n## ").append(escape(section.name())).append('\n');
    if (!section.checks().isEmpty()) {
      out.append("\n| check | outcome | detail |\n|---|---|---|\n");
      section
          .checks()
          .forEach(check ->
              row(
                  out,
                  check.name(),
                  check.outcome().name().toLowerCase(Locale.ROOT),
                  check.detail()));
    }
    if (!section.figures().isEmpty()) {
      out.append("\n| figure | value | unit |\n|---|---:|---|\n");
      section.figures().forEach(figure -> row(out, figure.name(), figure.value(), figure.unit()));
    }
  }

  private static void row(StringBuilder out, String... cells) {
    out.append('|');
    for (String cell : cells) {
      out.append(' ').append(escape(cell)).append(" |");
    }
    out.append('\n');
  }

  static String escape(String text) {
    StringBuilder out = new StringBuilder(text.length());
    text.codePoints()
        .forEach(c -> {
          if (c == '\n') {
            out.append("<br>");
          } else if (Character.isISOControl(c) || Character.getType(c) == Character.FORMAT) {
            out.append('?');
          } else if (c == '<' || c == '>' || c == '&') {
            out.append(c == '<' ? "&lt;" : c == '>' ? "&gt;" : "&amp;");
          } else {
            out.append(SPECIAL.indexOf(c) >= 0 ? "\\" : "").appendCodePoint(c);
          }
        });
    return out.toString();
  }
}
