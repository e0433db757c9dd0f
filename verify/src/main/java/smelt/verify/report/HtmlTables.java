package smelt.verify.report;

import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.IntStream;
import smelt.verify.quality.LayerScore;
import smelt.verify.quality.RouterScore;
import smelt.verify.quality.Summary;
import smelt.verify.quality.TensorScore;
import smelt.verify.quality.TokenScores;

/// The tables beside the plots.
final class HtmlTables {

  /// Rows of the table of the worst weights, at most.
  static final int MOST = 25;

  private static final int TAIL = 12;

  private HtmlTables() {}

  static void tokens(Markup page, Summary summary) {
    page.open("div").element("h3", "In figures").line();
    page.table("figures over tokens", "figure", "#routing by itself", "#experts forced");
    for (TokenFigures.Row row : TokenFigures.rows(summary)) {
      page.open("tr").element("th", row.name(), "scope", "row");
      page.number(row.free()).number(row.forced()).close().line();
    }
    page.endTable().close().line();
  }

  /// The tokens with the largest KL divergence.
  static void tail(Markup page, TokenScores scores) {
    page.open("div").element("h3", "The tokens that differ most").line();
    page.table(
        "tokens that differ most",
        "#sequence",
        "#position",
        "#target id",
        "#KLD",
        "#forced",
        "#p(target)",
        "#q(target)");
    List<Integer> worst =
        IntStream.range(0, scores.size())
            .boxed()
            .filter(i -> !Double.isNaN(scores.kl()[i]))
            .sorted(
                Comparator.comparingDouble((Integer i) -> -scores.kl()[i])
                    .thenComparing(Comparator.naturalOrder()))
            .limit(TAIL)
            .toList();
    for (int i : worst) {
      page.open("tr").number(Figures.count(scores.sequence()[i]));
      page.number(Figures.count(scores.position()[i])).number(String.valueOf(scores.target()[i]));
      page.number(Figures.significant(scores.kl()[i], 3));
      page.number(Figures.significant(scores.forcedKl()[i], 3));
      page.number(Figures.significant(Math.exp(scores.logP()[i]), 3));
      page.number(Figures.significant(Math.exp(scores.logQ()[i]), 3)).close().line();
    }
    page.endTable()
        .element("p", "p is the source's probability, q the result's.", "class", "legend");
    page.close().line();
  }

  static void layers(Markup page, List<LayerScore> layers, List<Integer> worst) {
    Set<Integer> named = new HashSet<>(worst);
    page.element("h3", "In figures").line().open("div", "class", "tall").line();
    page.table(
        "layers",
        "#layer",
        "#local",
        "#its limit",
        "#free",
        "#forced",
        "#same experts",
        "#overlap",
        "#routed mass",
        "#its limit",
        "#first changed",
        "#decided flips");
    for (LayerScore layer : layers) {
      boolean bad = named.contains(layer.layer());
      page.open("tr", "class", bad ? "named" : "plain");
      page.number((bad ? "● " : "") + layer.layer()).number(Figures.decibel(layer.localDb()));
      page.number(Figures.limit(layer.localLimitDb(), Figures::decibel));
      page.number(Figures.decibel(layer.freeDb())).number(Figures.decibel(layer.forcedDb()));
      router(page, layer.router());
      page.close().line();
    }
    page.endTable().close().line().open("p", "class", "legend");
    page.text("● is among the worst. Same experts: tokens for which all chosen experts agree.");
    page.text(" Routed mass: routing weight that goes to the same experts. First changed: tokens");
    page.text(
        " whose heaviest expert differs. Decided flips: experts differ although the source's");
    page.text(" choice was clear, by more than " + RouterScore.DECIDED + ".").close().line();
  }

  private static void router(Markup page, Optional<RouterScore> router) {
    if (router.isEmpty()) {
      page.element("td", "dense", "colspan", "6", "class", "n quiet");
      return;
    }
    RouterScore score = router.get();
    page.number(Figures.share(score.sameSet())).number(Figures.share(score.overlap()));
    page.number(Figures.share(score.massOverlap()));
    page.number(Figures.limit(score.massLimit(), Figures::share));
    page.number(Figures.share(score.firstChanged()));
    page.number(Figures.share(score.decidedFlips()));
  }

  static void worst(Markup page, List<TensorScore> scores) {
    if (scores.isEmpty()) {
      page.element("p", "No weight differs from the source's.", "class", "legend").line();
      return;
    }
    page.element("h3", "The worst weights").line();
    page.table(
        "worst weights",
        "tensor",
        "from",
        "to",
        "#SQNR",
        "#max error",
        "#relative",
        "#cosine",
        "#clipped",
        "#not finite");
    for (TensorScore score : scores) {
      page.open("tr").element("th", score.tensor(), "scope", "row", "class", "name");
      page.element("td", score.from(), "class", "t").element("td", score.to(), "class", "t");
      page.number(Figures.decibel(score.sqnrDb()));
      page.number(Figures.significant(score.maxAbsError(), 3));
      page.number(Figures.significant(score.relativeError(), 3));
      page.number(Figures.fixed(score.cosine(), 6)).number(Figures.share(score.clippedShare()));
      page.number(Figures.count(score.nonFinite())).close().line();
    }
    page.endTable();
  }
}
