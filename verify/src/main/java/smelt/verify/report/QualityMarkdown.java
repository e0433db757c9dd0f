package smelt.verify.report;

import java.util.Comparator;
import java.util.List;
import java.util.Map;
import smelt.verify.quality.Gate;
import smelt.verify.quality.LayerScore;
import smelt.verify.quality.QualityReport;
import smelt.verify.quality.RoleSize;
import smelt.verify.quality.RouterScore;
import smelt.verify.quality.Subject;
import smelt.verify.quality.Summary;
import smelt.verify.quality.TensorScore;

/// A page for a CI job's summary, far below the 1 MiB that such pages may have: the verdict and its
/// bounds, the figures over tokens, the worst tensors and layers, sizes.
final class QualityMarkdown {

  private static final int TENSORS = 20;
  private static final int LAYERS = 10;
  private static final int LINES = 40;
  private static final int LONGEST = 300;

  private final StringBuilder out = new StringBuilder();

  private QualityMarkdown() {}

  static String render(QualityReport report) {
    QualityMarkdown page = new QualityMarkdown();
    page.verdict(report);
    report.summary().ifPresent(page::tokens);
    page.tensors(report);
    page.layers(report);
    page.sizes(report);
    page.config(report.configChanges());
    page.about(report);
    return page.out.toString();
  }

  private void verdict(QualityReport report) {
    String standing = Standing.of(report.verdict()).name();
    out.append("# ").append(standing).append(": ").append(cell(report.subject().result()));
    out.append("\n\n").append(cell(Standing.why(report.verdict()), 4 * LONGEST)).append("\n");
    heading("Bounds of " + report.verdict().profile());
    head(
        "bound",
        "outcome",
        "#value",
        "#" + report.verdict().look().level() + " limit",
        "#must be",
        "detail");
    for (Gate gate : report.verdict().gates()) {
      String outcome = GateText.outcome(gate);
      boolean measured = gate.outcome() != Gate.Outcome.SKIPPED;
      row(
          cell(gate.metric().title()),
          gate.outcome() == Gate.Outcome.FAIL ? "**" + outcome + "**" : outcome,
          measured ? cell(GateText.value(gate)) : "",
          measured ? cell(GateText.limit(gate)) : "",
          cell(GateText.bound(gate)),
          cell(gate.detail()));
    }
  }

  private void tokens(Summary summary) {
    heading("Over " + Figures.count(summary.tokens()) + " tokens");
    head("figure", "#each routes by itself", "#source's experts forced");
    for (TokenFigures.Row figure : TokenFigures.rows(summary)) {
      row(cell(figure.name()), cell(figure.free()), cell(figure.forced()));
    }
    out.append('\n').append(cell(TokenFigures.routing(summary))).append('\n');
  }

  private void tensors(QualityReport report) {
    List<TensorScore> worst = Weights.worst(report, TENSORS);
    heading("Weights");
    long exact = report.tensors().stream().filter(TensorScore::bitExact).count();
    out.append(Figures.count(report.tensors().size())).append(" weights, ");
    out.append(Figures.count(exact)).append(" bit-exact.\n");
    if (!worst.isEmpty()) {
      out.append('\n');
      head("worst weights", "from", "to", "#SQNR", "#relative error", "#clipped", "#not finite");
    }
    for (TensorScore score : worst) {
      row(
          cell(score.tensor()),
          cell(score.from()),
          cell(score.to()),
          Figures.decibel(score.sqnrDb()),
          Figures.significant(score.relativeError(), 3),
          Figures.share(score.clippedShare()),
          Figures.count(score.nonFinite()));
    }
  }

  private void layers(QualityReport report) {
    if (report.layers().isEmpty()) {
      return;
    }
    heading("Worst layers");
    head(
        "#layer",
        "#local SQNR",
        "#its limit",
        "#free",
        "#forced",
        "#same experts",
        "#routed mass",
        "#its limit");
    report.layers().stream()
        .sorted(Comparator.comparingDouble(LayerScore::localDb))
        .limit(LAYERS)
        .forEach(layer ->
            row(
                String.valueOf(layer.layer()),
                Figures.decibel(layer.localDb()),
                Figures.limit(layer.localLimitDb(), Figures::decibel),
                Figures.decibel(layer.freeDb()),
                Figures.decibel(layer.forcedDb()),
                layer.router().map(RouterScore::sameSet).map(Figures::share).orElse("dense"),
                layer.router().map(RouterScore::massOverlap).map(Figures::share).orElse(""),
                layer
                    .router()
                    .map(router -> Figures.limit(router.massLimit(), Figures::share))
                    .orElse("")));
  }

  private void sizes(QualityReport report) {
    Subject subject = report.subject();
    heading("Sizes");
    head("role", "#parameters", "#before", "#after");
    for (RoleSize size : report.sizes().stream().limit(LINES).toList()) {
      row(
          cell(size.role()),
          Figures.count(size.parameters()),
          Figures.bytes(size.sourceBytes()),
          Figures.bytes(size.resultBytes()));
    }
    row("**all**", "", Figures.bytes(subject.sourceBytes()), Figures.bytes(subject.resultBytes()));
  }

  private void config(Map<String, String> changes) {
    if (changes.isEmpty()) {
      return;
    }
    heading("Changes of config.json");
    head("key", "change");
    changes.entrySet().stream()
        .limit(LINES)
        .forEach(change -> row(cell(change.getKey()), cell(change.getValue())));
    if (changes.size() > LINES) {
      out.append("\nand ").append(changes.size() - LINES).append(" more\n");
    }
  }

  private void about(QualityReport report) {
    if (!report.notes().isEmpty()) {
      heading("Notes");
      report.notes().stream()
          .limit(LINES)
          .forEach(note -> out.append("- ").append(cell(note, 3 * LONGEST)).append('\n'));
    }
    Subject subject = report.subject();
    heading("To get the same figures");
    String command = Escape.clip(Escape.plain(subject.command()), 20 * LONGEST);
    String fence = "```";
    while (command.contains(fence)) {
      fence += "`";
    }
    out.append(fence).append("sh\n").append(command).append('\n').append(fence).append("\n\n");
    out.append("Smelt ").append(cell(subject.version())).append(", ");
    out.append(cell(subject.kernels())).append(", against ").append(cell(subject.source()));
    out.append(".\n");
  }

  private void heading(String text) {
    out.append("\n## ").append(cell(text)).append("\n\n");
  }

  private void head(String... headings) {
    out.append('|');
    for (String heading : headings) {
      out.append(' ').append(heading.replace("#", "")).append(" |");
    }
    out.append("\n|");
    for (String heading : headings) {
      out.append(heading.startsWith("#") ? "---:|" : "---|");
    }
    out.append('\n');
  }

  private void row(String... cells) {
    out.append('|');
    for (String cell : cells) {
      out.append(' ').append(cell).append(" |");
    }
    out.append('\n');
  }

  private static String cell(String text) {
    return cell(text, LONGEST);
  }

  private static String cell(String text, int most) {
    return Escape.markdown(Escape.clip(text, most));
  }
}
