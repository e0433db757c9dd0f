package smelt.verify.report;

import java.util.ArrayList;
import java.util.List;
import java.util.SortedMap;
import smelt.verify.quality.Distribution;
import smelt.verify.quality.Summary;

/// The figures over tokens in words, by llama.cpp's names: each path routing by itself (free)
/// beside the source's experts forced on the result.
final class TokenFigures {

  /// @param forced empty where forcing is not measured
  record Row(String name, String free, String forced) {}

  private TokenFigures() {}

  static List<Row> rows(Summary summary) {
    List<Row> rows = new ArrayList<>();
    rows.add(new Row("mean KLD, nats", mean(summary.kl()), mean(summary.forcedKl())));
    rows.add(new Row("max KLD", nats(summary.kl().max()), nats(summary.forcedKl().max())));
    SortedMap<Double, Double> free =
        new java.util.TreeMap<Double, Double>(summary.kl().percentiles()).descendingMap();
    SortedMap<Double, Double> forced = summary.forcedKl().percentiles();
    free.forEach((percent, value) ->
        rows.add(
            new Row(
                percent == 50 ? "median KLD" : percent(percent) + " KLD",
                nats(value),
                forced.containsKey(percent) ? nats(forced.get(percent)) : "")));
    rows.add(
        new Row(
            "same top p",
            Figures.share(summary.sameTop()),
            Figures.share(summary.sameTopForced())));
    rows.add(new Row("PPL of the source", Figures.fixed(summary.sourcePpl(), 4), ""));
    rows.add(new Row("PPL of the result", Figures.fixed(summary.resultPpl(), 4), ""));
    rows.add(new Row("ln PPL ratio, paired", mean(summary.logPplRatio()), ""));
    rows.add(new Row("RMS Δp", Figures.share(summary.deltaPRms()), ""));
    rows.add(new Row("mean Δp", Figures.share(summary.deltaP().mean()), ""));
    rows.add(new Row("log-probability of EOS, shift", nats(summary.eosShift()), ""));
    rows.add(new Row("design effect of sequences", Figures.fixed(summary.designEffect(), 2), ""));
    return rows;
  }

  /// What part of the mean KL comes from routing, as a sentence.
  static String routing(Summary summary) {
    double free = summary.kl().mean();
    double forced = summary.forcedKl().mean();
    if (!(free > 1e-9) || !Double.isFinite(free) || !Double.isFinite(forced)) {
      return "";
    }
    double part = Math.clamp(1 - forced / free, 0, 1);
    return part < 0.005
        ? "Other experts being chosen explains nothing of the mean KLD."
        : "Other experts being chosen explains "
            + Figures.fixed(part * 100, 0)
            + " % of the mean KLD; the rest is there with the source's experts too.";
  }

  private static String mean(Distribution distribution) {
    return nats(distribution.mean()) + " ± " + Figures.significant(distribution.standardError(), 2);
  }

  private static String nats(double value) {
    return Figures.significant(value, 3);
  }

  private static String percent(double percent) {
    return (percent == Math.rint(percent)
            ? String.valueOf((long) percent)
            : String.valueOf(percent))
        + " %";
  }
}
