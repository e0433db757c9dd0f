package smelt.converter.cli;

import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;
import smelt.verify.quality.Gate;
import smelt.verify.quality.LayerScore;
import smelt.verify.quality.Metric;
import smelt.verify.quality.QualityReport;
import smelt.verify.quality.Summary;
import smelt.verify.quality.TensorScore;

/// What `smelt verify` has found, for people: the verdict first.
final class VerifyText {

  private static final int SHOWN = 5;

  private VerifyText() {}

  static void lines(QualityReport report, Terminal terminal) {
    verdict(report, terminal);
    terminal.answer(
        String.format(
            Locale.ROOT,
            "  %-18s %12s %12s   %-14s %s",
            "bound",
            "value",
            report.verdict().look().level() + " limit",
            "wanted",
            ""));
    report.verdict().gates().forEach(gate -> gate(gate, terminal));
    report.summary().ifPresent(summary -> summary(summary, terminal));
    worst(report, terminal);
    report
        .configChanges()
        .forEach((key, change) -> terminal.answer("config  " + key + ": " + change));
    report.notes().forEach(note -> terminal.answer("note    " + note));
  }

  private static void verdict(QualityReport report, Terminal terminal) {
    List<Gate> gates = report.verdict().gates();
    boolean passed = report.verdict().passed();
    terminal.answer(
        passed ? Terminal.Colour.GREEN : Terminal.Colour.RED,
        String.format(
            Locale.ROOT,
            "%s  profile %s: %d of %d bounds hold",
            passed ? "PASS" : count(gates, Gate.Outcome.FAIL) > 0 ? "FAIL" : "INCOMPLETE",
            report.verdict().profile(),
            count(gates, Gate.Outcome.PASS),
            gates.size()));
    terminal.answer(
        report.subject().result()
            + " against "
            + report.subject().source()
            + ": "
            + report.subject().scheme());
  }

  private static long count(List<Gate> gates, Gate.Outcome outcome) {
    return gates.stream().filter(gate -> gate.outcome() == outcome).count();
  }

  private static void gate(Gate gate, Terminal terminal) {
    String line =
        String.format(
            Locale.ROOT,
            "  %-18s %12s %12s   %-14s %-7s %s",
            gate.metric().title(),
            number(gate.value()),
            gate.limit().isPresent() ? number(gate.limit().getAsDouble()) : "",
            (gate.metric().side() == Metric.Side.AT_MOST ? "<= " : ">= ") + number(gate.bound()),
            gate.outcome().name().toLowerCase(Locale.ROOT),
            gate.detail());
    if (gate.outcome() == Gate.Outcome.PASS) {
      terminal.answer(line.stripTrailing());
    } else {
      terminal.answer(Terminal.Colour.RED, line.stripTrailing());
    }
  }

  private static void summary(Summary summary, Terminal terminal) {
    terminal.answer(
        String.format(
            Locale.ROOT,
            "KLD     free %s +- %s, with the source's experts %s; median %s, 99.9 %% %s, max %s",
            number(summary.kl().mean()),
            number(summary.kl().standardError()),
            number(summary.forcedKl().mean()),
            number(summary.kl().percentiles().getOrDefault(50.0, Double.NaN)),
            number(summary.kl().percentiles().getOrDefault(99.9, Double.NaN)),
            number(summary.kl().max())));
    terminal.answer(
        String.format(
            Locale.ROOT,
            "PPL     source %.4f, result %.4f over %,d tokens; same top %.2f %%, with the source's"
                + " experts %.2f %%",
            summary.sourcePpl(),
            summary.resultPpl(),
            summary.tokens(),
            100 * summary.sameTop(),
            100 * summary.sameTopForced()));
  }

  private static void worst(QualityReport report, Terminal terminal) {
    Map<String, TensorScore> byName =
        report.tensors().stream()
            .collect(Collectors.toMap(TensorScore::tensor, Function.identity()));
    report.verdict().worstTensors().stream()
        .limit(SHOWN)
        .map(byName::get)
        .forEach(tensor ->
            terminal.answer(
                String.format(
                    Locale.ROOT, "weight  %8s dB  %s", db(tensor.sqnrDb()), tensor.tensor())));
    report.verdict().worstLayers().stream()
        .limit(SHOWN)
        .map(layer -> report.layers().get(layer))
        .forEach(layer -> terminal.answer(layer(layer)));
  }

  private static String layer(LayerScore layer) {
    String line =
        String.format(
            Locale.ROOT,
            "layer   %8s dB  layer %d (limit %s dB); behind it %s dB, with the source's experts %s dB",
            db(layer.localDb()),
            layer.layer(),
            layer.localLimitDb().isPresent() ? db(layer.localLimitDb().getAsDouble()) : "-",
            db(layer.freeDb()),
            db(layer.forcedDb()));
    return layer
        .router()
        .map(router ->
            line
                + String.format(
                    Locale.ROOT,
                    "; same experts %.1f %%, routed mass %.4f",
                    100 * router.sameSet(),
                    router.massOverlap()))
        .orElse(line);
  }

  private static String db(double value) {
    return Double.isInfinite(value)
        ? (value > 0 ? "inf" : "-inf")
        : String.format(Locale.ROOT, "%.1f", value);
  }

  /// Four significant digits.
  private static String number(double value) {
    if (Double.isNaN(value)) {
      return "-";
    }
    if (Double.isInfinite(value)) {
      return value > 0 ? "inf" : "-inf";
    }
    double size = Math.abs(value);
    if (value == 0 || (size >= 1e-3 && size < 1e5)) {
      int digits = value == 0 ? 0 : Math.clamp(3 - (int) Math.floor(Math.log10(size)), 0, 6);
      return String.format(Locale.ROOT, "%." + digits + "f", value);
    }
    return String.format(Locale.ROOT, "%.3e", value);
  }
}
