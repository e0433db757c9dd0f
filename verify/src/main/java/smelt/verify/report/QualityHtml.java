package smelt.verify.report;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.OptionalDouble;
import smelt.verify.quality.Gate;
import smelt.verify.quality.LayerScore;
import smelt.verify.quality.Metric;
import smelt.verify.quality.QualityReport;
import smelt.verify.quality.Summary;
import smelt.verify.quality.TokenScores;

/// One HTML page for people: the verdict, why, and where to look. Self-contained (its policy
/// forbids everything but its own style), without scripts, and well-formed XML.
final class QualityHtml {

  private static final String POLICY = "default-src 'none'; style-src 'unsafe-inline'";

  private final QualityReport report;
  private final Markup page = new Markup();

  private QualityHtml(QualityReport report) {
    this.report = report;
  }

  static String render(QualityReport report) {
    return new QualityHtml(report).page();
  }

  private String page() {
    page.open("html", "lang", "en").line();
    head();
    page.open("body").line().open("main").line();
    HtmlVerdict.draw(page, report);
    report.summary().ifPresent(this::tokens);
    if (!report.layers().isEmpty()) {
      layers();
    }
    if (!report.tensors().isEmpty()) {
      weights();
    }
    if (!report.experts().isEmpty()) {
      experts();
    }
    sizes();
    HtmlAbout.draw(page, report);
    page.close().line().close().line().close().line();
    return "<!DOCTYPE html>\n" + page.finish();
  }

  private void head() {
    page.open("head").line().empty("meta", "charset", "utf-8").line();
    page.empty("meta", "name", "viewport", "content", "width=device-width, initial-scale=1").line();
    page.empty("meta", "http-equiv", "Content-Security-Policy", "content", POLICY).line();
    page.empty("meta", "name", "color-scheme", "content", "light dark").line();
    String name = Standing.of(report.verdict()) + ": " + report.subject().result();
    page.element("title", name).line().style(css()).line();
    page.close().line();
  }

  private void tokens(Summary summary) {
    section(
        "tokens",
        "Token by token",
        "KL divergence between the source's and the result's next-token distributions, over "
            + Figures.count(summary.tokens())
            + " tokens of "
            + Figures.count(report.subject().sequences())
            + " sequences. “Experts forced” runs the result with the experts that the source"
            + " chose: what is left then is not the routing's doing. "
            + TokenFigures.routing(summary));
    report.tokens().ifPresent(scores -> spread(summary, scores));
    page.open("div", "class", "pair");
    HtmlTables.tokens(page, summary);
    report.tokens().ifPresent(scores -> HtmlTables.tail(page, scores));
    page.close().line().close().line();
  }

  private void spread(Summary summary, TokenScores scores) {
    page.open("div", "class", "pair").line();
    figure(
        "How the tokens are spread",
        () ->
            KlHistogram.draw(
                page, scores.kl(), scores.forcedKl(), summary.kl().mean(), bound(Metric.MEAN_KL)));
    figure(
        "The tail: left of the shaded corner is good",
        () -> KlTail.draw(page, scores.kl(), scores.forcedKl(), bound(Metric.KL_999)));
    page.close().line();
    long none = java.util.Arrays.stream(scores.kl()).filter(kl -> !Double.isFinite(kl)).count();
    if (none > 0) {
      String text =
          Figures.count(none) + " tokens have no finite KL divergence; they are not drawn.";
      page.element("p", text, "class", "legend").line();
    }
  }

  private void layers() {
    section(
        "layers",
        "Layer by layer",
        "Local: the error that a layer adds to the same input, with the source's experts. Free and"
            + " forced: the error that has gathered behind it, with its own experts and with the"
            + " source's.");
    page.open("div", "class", "pair").line();
    figure(
        "Signal to error of the hidden state",
        () -> LayerPlots.sqnr(page, report.layers(), bound(Metric.LAYER_SQNR)));
    boolean routed = report.layers().stream().map(LayerScore::router).anyMatch(r -> r.isPresent());
    if (routed) {
      figure(
          "Agreement of the routers",
          () -> LayerPlots.routers(page, report.layers(), bound(Metric.ROUTED_MASS)));
    }
    page.close().line();
    HtmlTables.layers(page, report.layers(), report.verdict().worstLayers());
    page.close().line();
  }

  private void weights() {
    long exact = report.tensors().stream().filter(score -> score.bitExact()).count();
    section(
        "weights",
        "Weights",
        Figures.count(report.tensors().size())
            + " weights, decoded from the result's files and compared with the source's; "
            + Figures.count(exact)
            + " are bit-exact. Darker is more error (brighter in a dark theme)."
            + " Point at a cell for the worst weight's name.");
    Weights weights = Weights.of(report.tensors());
    if (!weights.layers().isEmpty()) {
      SqnrMap.draw(page, weights, bound(Metric.WEIGHT_SQNR).orElse(Double.NEGATIVE_INFINITY));
    }
    HtmlTables.worst(page, Weights.worst(report, HtmlTables.MOST));
    page.close().line();
  }

  private void experts() {
    section(
        "experts",
        "Expert use",
        "How many of the scored tokens the source's routers sent to each expert. An expert that no"
            + " token reached is compared by its weights alone.");
    ExpertMap.draw(page, report.experts());
    page.close().line();
  }

  private void sizes() {
    section("sizes", "Sizes", "Bytes of the tensors by role, with scales.");
    SizeBars.draw(page, report);
    page.close().line();
  }

  private void section(String id, String title, String text) {
    page.open("section", "id", id).line().element("h2", title);
    page.element("p", text, "class", "lead").line();
  }

  private void figure(String caption, Runnable plot) {
    page.open("figure").element("figcaption", caption).line();
    plot.run();
    page.close().line();
  }

  private OptionalDouble bound(Metric metric) {
    List<Gate> gates = report.verdict().gates();
    return gates.stream()
        .filter(gate -> gate.metric() == metric && Double.isFinite(gate.bound()))
        .mapToDouble(Gate::bound)
        .findFirst();
  }

  private static String css() {
    try (InputStream in = QualityHtml.class.getResourceAsStream("report.css")) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
