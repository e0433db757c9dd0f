package smelt.verify.report;

import java.util.Optional;
import smelt.verify.quality.Gate;
import smelt.verify.quality.Look;
import smelt.verify.quality.Metric;
import smelt.verify.quality.QualityReport;
import smelt.verify.quality.Subject;

/// The top of the page: the verdict, one sentence why, the figures that everybody asks for, and the
/// bounds.
final class HtmlVerdict {

  private HtmlVerdict() {}

  static void draw(Markup page, QualityReport report) {
    Standing standing = Standing.of(report.verdict());
    page.open("header", "class", "verdict " + standing.label()).line();
    page.open("div", "class", "word");
    sign(page, standing);
    page.element("h1", standing.name()).close().line();
    page.element("p", Standing.why(report.verdict()), "class", "why").line();
    page.open("p", "class", "what");
    page.element("b", report.subject().result()).text(" (" + report.subject().scheme());
    page.text(") against ").element("b", report.subject().source()).close().line();
    page.close().line();
    tiles(page, report);
    nav(page, report);
    gates(page, report);
  }

  private static void sign(Markup page, Standing standing) {
    try (Drawing drawing = Drawing.fixed(page, standing.label(), 44, 44)) {
      switch (standing) {
        case PASS -> drawing.path("sign", "M9 23l9 10l17-21");
        case FAIL -> drawing.path("sign", "M11 11l22 22M33 11l-22 22");
        case INCOMPLETE -> drawing.path("sign", "M22 9v16M22 33v2");
      }
    }
  }

  private static void tiles(Markup page, QualityReport report) {
    Subject subject = report.subject();
    page.open("dl", "class", "tiles").line();
    report
        .summary()
        .ifPresent(summary -> {
          String mean = Figures.significant(summary.kl().mean(), 3);
          tile(page, "mean KLD", mean, limit(report, Metric.MEAN_KL, "nats"));
          tile(
              page,
              "same top p",
              Figures.share(summary.sameTop()),
              limit(report, Metric.SAME_TOP, ""));
          tile(
              page,
              "perplexity",
              Figures.fixed(summary.resultPpl(), 3),
              "source " + Figures.fixed(summary.sourcePpl(), 3));
        });
    report.tensors().stream()
        .min(Weights.BY_SQNR)
        .ifPresent(worst ->
            tile(
                page,
                "worst weight",
                Figures.decibel(worst.sqnrDb()),
                worst.bitExact() ? "all are bit-exact" : "signal to error"));
    String part =
        subject.sourceBytes() == 0
            ? ""
            : Figures.fixed(100.0 * subject.resultBytes() / subject.sourceBytes(), 0) + " % of ";
    tile(
        page,
        "size",
        Figures.bytes(subject.resultBytes()),
        part + Figures.bytes(subject.sourceBytes()));
    page.close().line();
  }

  private static void tile(Markup page, String name, String value, String under) {
    page.open("div").element("dt", name).element("dd", value);
    page.element("dd", under, "class", "under").close().line();
  }

  private static String limit(QualityReport report, Metric metric, String unit) {
    Optional<Gate> gate =
        report.verdict().gates().stream().filter(each -> each.metric() == metric).findFirst();
    return gate.filter(each -> Double.isFinite(each.limit().orElse(Double.NaN)))
        .map(each ->
            GateText.side(each) + " " + GateText.limit(each) + " (" + look(report).level() + ")")
        .orElse(unit);
  }

  private static void nav(Markup page, QualityReport report) {
    page.open("nav", "aria-label", "sections").line();
    link(page, "gates", "Bounds", true);
    link(page, "tokens", "Tokens", report.summary().isPresent());
    link(page, "layers", "Layers", !report.layers().isEmpty());
    link(page, "weights", "Weights", !report.tensors().isEmpty());
    link(page, "experts", "Experts", !report.experts().isEmpty());
    link(page, "sizes", "Sizes", true);
    link(page, "config", "Config", !report.configChanges().isEmpty());
    link(page, "about", "Reproduce", true);
    page.close().line();
  }

  private static void link(Markup page, String id, String text, boolean there) {
    if (there) {
      page.element("a", text, "href", "#" + id).line();
    }
  }

  private static void gates(Markup page, QualityReport report) {
    page.open("section", "id", "gates").line();
    page.element("h2", "Bounds of " + report.verdict().profile());
    page.element(
        "p",
        "What is held against a bound is the one-sided "
            + look(report).level()
            + " confidence limit, found by resampling whole "
            + look(report).units().plural()
            + ", unless the figure is exact.",
        "class",
        "lead");
    page.line()
        .table(
            "bounds",
            "",
            "bound",
            "#value",
            "#" + look(report).level() + " limit",
            "#must be",
            "value, limit, bound");
    for (Gate gate : report.verdict().gates()) {
      gate(page, gate, look(report));
    }
    page.endTable().close().line();
  }

  private static Look look(QualityReport report) {
    return report.verdict().look();
  }

  private static void gate(Markup page, Gate gate, Look look) {
    boolean measured = gate.outcome() != Gate.Outcome.SKIPPED;
    String outcome = GateText.outcome(gate);
    page.open("tr", "class", measured ? outcome : "skip").open("td");
    String mark = measured ? (outcome.equals("pass") ? "✓ " : "✗ ") : "– ";
    page.element("span", mark + outcome, "class", "badge").close();
    page.open("th", "scope", "row").text(gate.metric().title());
    page.element("small", GateText.explain(gate.metric()));
    if (!gate.detail().isEmpty()) {
      page.element("small", gate.detail(), "class", "detail");
    }
    page.close();
    figure(page, "value", measured ? GateText.value(gate) : "–");
    figure(page, look.level() + " limit", measured ? GateText.limit(gate) : "–");
    figure(page, "must be", GateText.bound(gate));
    page.open("td");
    GateBar.draw(page, gate, look);
    page.close().close().line();
  }

  /// The name stands beside the number where the page is too narrow for columns.
  private static void figure(Markup page, String name, String value) {
    page.element("td", value, "class", "n", "data-name", name);
  }
}
