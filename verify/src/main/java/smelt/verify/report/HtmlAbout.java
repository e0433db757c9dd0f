package smelt.verify.report;

import java.util.List;
import smelt.verify.quality.QualityReport;
import smelt.verify.quality.Subject;

/// The end of the page: what changed in the config, what a reader should know, and how to get the
/// same figures.
final class HtmlAbout {

  private static final String ARROW = " -> ";

  private HtmlAbout() {}

  static void draw(Markup page, QualityReport report) {
    if (!report.configChanges().isEmpty()) {
      config(page, report);
    }
    if (!report.notes().isEmpty()) {
      page.open("section", "id", "notes").line().element("h2", "Notes").open("ul").line();
      report.notes().forEach(note -> page.element("li", note).line());
      page.close().close().line();
    }
    Subject subject = report.subject();
    page.open("section", "id", "about").line().element("h2", "To get the same figures").line();
    page.element("pre", subject.command(), "tabindex", "0").line();
    page.open("dl", "class", "facts").line();
    fact(page, "architecture", subject.architecture());
    fact(page, "scheme", subject.scheme());
    fact(page, "activations", subject.activations());
    fact(page, "text", subject.corpora().isEmpty() ? List.of("none") : subject.corpora());
    fact(page, "program", "Smelt " + subject.version() + ", " + subject.kernels());
    page.close().close().line();
  }

  private static void config(Markup page, QualityReport report) {
    page.open("section", "id", "config").line().element("h2", "Changes of config.json").line();
    page.table("changes of config.json", "key", "before", "after");
    report
        .configChanges()
        .forEach((key, change) -> {
          page.open("tr").element("th", key, "scope", "row", "class", "name");
          int at = change.indexOf(ARROW);
          if (at >= 0 && at == change.lastIndexOf(ARROW)) {
            page.element("td", change.substring(0, at), "class", "code");
            page.element("td", change.substring(at + ARROW.length()), "class", "code");
          } else {
            page.element("td", change, "class", "code", "colspan", "2");
          }
          page.close().line();
        });
    page.endTable().close().line();
  }

  private static void fact(Markup page, String name, String value) {
    fact(page, name, List.of(value));
  }

  private static void fact(Markup page, String name, List<String> values) {
    page.element("dt", name);
    values.forEach(value -> page.element("dd", value));
    page.line();
  }
}
