package smelt.converter.report;

/// JUnit XML as CI systems read it: a suite for each section, a case for each check, figures as
/// properties of the suite.
final class JunitReport {

  private JunitReport() {}

  static String render(Report report) {
    StringBuilder out = new StringBuilder("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    out.append("<testsuites").append(attribute("name", report.title())).append(">\n");
    report.sections().forEach(section -> suite(out, section));
    return out.append("</testsuites>\n").toString();
  }

  private static void suite(StringBuilder out, Report.Section section) {
    out.append("  <testsuite")
        .append(attribute("name", section.name()))
        .append(attribute("tests", String.valueOf(section.checks().size())))
        .append(attribute("failures", count(section, Report.Outcome.FAILED)))
        .append(attribute("errors", "0"))
        .append(attribute("skipped", count(section, Report.Outcome.SKIPPED)))
        .append(">\n");
    if (!section.figures().isEmpty()) {
      out.append("    <properties>\n");
      for (Report.Figure figure : section.figures()) {
        out.append("      <property")
            .append(attribute("name", figure.name()))
            .append(attribute("value", (figure.value() + " " + figure.unit()).strip()))
            .append("/>\n");
      }
      out.append("    </properties>\n");
    }
    section.checks().forEach(check -> testCase(out, section, check));
    out.append("  </testsuite>\n");
  }

  private static void testCase(StringBuilder out, Report.Section section, Report.Check check) {
    out.append("    <testcase")
        .append(attribute("classname", section.name()))
        .append(attribute("name", check.name()));
    switch (check.outcome()) {
      case PASSED -> out.append("/>\n");
      case SKIPPED ->
          out.append("><skipped")
              .append(attribute("message", check.detail()))
              .append("/></testcase>\n");
      case FAILED ->
          out.append("><failure")
              .append(attribute("message", firstLine(check.detail())))
              .append('>')
              .append(escape(check.detail()))
              .append("</failure></testcase>\n");
    }
  }

  private static String count(Report.Section section, Report.Outcome outcome) {
    return String.valueOf(
        section.checks().stream().filter(check -> check.outcome() == outcome).count());
  }

  private static String firstLine(String text) {
    return text.lines().findFirst().orElse("");
  }

  private static String attribute(String name, String value) {
    return " " + name + "=\"" + escape(value).replace("\n", "&#10;") + "\"";
  }

  /// Escapes markup; characters that XML 1.0 cannot hold become `?`.
  static String escape(String text) {
    StringBuilder out = new StringBuilder(text.length());
    text.codePoints()
        .forEach(c -> {
          switch (c) {
            case '<' -> out.append("&lt;");
            case '>' -> out.append("&gt;");
            case '&' -> out.append("&amp;");
            case '"' -> out.append("&quot;");
            case '\'' -> out.append("&apos;");
            default -> out.appendCodePoint(isXml(c) ? c : '?');
          }
        });
    return out.toString();
  }

  private static boolean isXml(int c) {
    return c == '\n'
        || c == '\t'
        || (c >= 0x20 && c <= 0x7E)
        || (c >= 0xA0 && c <= 0xD7FF)
        || (c >= 0xE000 && c <= 0xFFFD)
        || c >= 0x10000;
  }
}
