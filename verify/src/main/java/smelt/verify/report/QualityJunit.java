package smelt.verify.report;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Stream;
import smelt.verify.quality.Gate;
import smelt.verify.quality.LayerScore;
import smelt.verify.quality.Look;
import smelt.verify.quality.Metric;
import smelt.verify.quality.QualityReport;

/// JUnit XML as CI systems read it: a suite `gates` with a case for each bound, then a suite for
/// each layer with a case for each bound that layers have a share in. A layer's case fails where
/// that bound fails and the layer's own limit lies on the wrong side of it, so the suites name the
/// layers that are at fault and never contradict the verdict.
final class QualityJunit {

  /// One test case.
  private record Case(String name, Gate.Outcome outcome, String message, String detail) {}

  private QualityJunit() {}

  static String render(QualityReport report) {
    SortedMap<Integer, List<Case>> layers = layers(report);
    List<Case> gates =
        report.verdict().gates().stream().map(gate -> gate(gate, report.verdict().look())).toList();
    List<Case> all =
        Stream.concat(gates.stream(), layers.values().stream().flatMap(List::stream)).toList();
    Markup out = new Markup();
    out.open("testsuites", suite("smelt verify: " + report.verdict().profile(), all, false)).line();
    out.open("testsuite", suite("gates", gates, true)).line();
    properties(out, report);
    gates.forEach(gate -> testCase(out, "gates", gate));
    out.close().line();
    layers.forEach((layer, cases) -> {
      String name = "layer " + layer;
      out.open("testsuite", suite(name, cases, true)).line();
      cases.forEach(each -> testCase(out, name, each));
      out.close().line();
    });
    return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" + out.close().line().finish();
  }

  private static Case gate(Gate gate, Look look) {
    String detail = gate.detail().isEmpty() ? "" : "\n" + gate.detail();
    String figures =
        "value %s, %s limit %s, bound %s"
            .formatted(
                GateText.value(gate), look.level(), GateText.limit(gate), GateText.bound(gate));
    String message =
        gate.outcome() == Gate.Outcome.SKIPPED ? gate.detail() : GateText.sentence(gate, look);
    return new Case(gate.metric().title(), gate.outcome(), message, figures + detail);
  }

  private static SortedMap<Integer, List<Case>> layers(QualityReport report) {
    SortedMap<Integer, List<Case>> cases = new TreeMap<>();
    gate(report, Metric.WEIGHT_SQNR)
        .ifPresent(gate ->
            Weights.of(report.tensors())
                .layers()
                .forEach((layer, cells) ->
                    cells.values().stream()
                        .map(Weights.Cell::worst)
                        .min(Weights.BY_SQNR)
                        .ifPresent(
                            worst -> add(cases, layer, gate, worst.sqnrDb(), worst.tensor()))));
    for (LayerScore layer : report.layers()) {
      gate(report, Metric.LAYER_SQNR)
          .ifPresent(gate ->
              add(cases, layer.layer(), gate, held(layer.localDb(), layer.localLimitDb()), ""));
      Optional<Double> mass =
          layer.router().map(router -> held(router.massOverlap(), router.massLimit()));
      gate(report, Metric.ROUTED_MASS)
          .ifPresent(gate -> mass.ifPresent(value -> add(cases, layer.layer(), gate, value, "")));
    }
    return cases;
  }

  /// As [Gate] holds it: the limit where there is one.
  private static double held(double value, OptionalDouble limit) {
    return limit.orElse(value);
  }

  private static void add(
      SortedMap<Integer, List<Case>> cases, int layer, Gate gate, double value, String where) {
    boolean holds =
        switch (gate.metric().side()) {
          case AT_MOST -> value <= gate.bound();
          case AT_LEAST -> value >= gate.bound();
        };
    Gate.Outcome outcome =
        gate.outcome() == Gate.Outcome.FAIL && holds ? Gate.Outcome.PASS : gate.outcome();
    String text =
        gate.metric().title()
            + " of layer "
            + layer
            + " is "
            + Figures.of(gate.metric(), value, 0)
            + (gate.metric().isSampled() ? " (limit)" : "")
            + ", the bound is "
            + GateText.bound(gate);
    String message = outcome == Gate.Outcome.SKIPPED ? gate.detail() : text;
    cases
        .computeIfAbsent(layer, _ -> new ArrayList<>())
        .add(new Case(gate.metric().title(), outcome, message, where.isEmpty() ? text : where));
  }

  private static Optional<Gate> gate(QualityReport report, Metric metric) {
    return report.verdict().gates().stream().filter(gate -> gate.metric() == metric).findFirst();
  }

  private static void properties(Markup out, QualityReport report) {
    out.open("properties").line();
    property(out, "profile", report.verdict().profile());
    property(out, "source", report.subject().source());
    property(out, "result", report.subject().result());
    property(out, "scheme", report.subject().scheme());
    property(out, "version", report.subject().version());
    property(out, "command", report.subject().command());
    report
        .summary()
        .ifPresent(summary -> {
          property(out, "tokens", String.valueOf(summary.tokens()));
          property(out, "mean KLD", String.valueOf(summary.kl().mean()));
          property(out, "mean KLD, experts forced", String.valueOf(summary.forcedKl().mean()));
          property(out, "same top p", String.valueOf(summary.sameTop()));
          property(out, "PPL source", String.valueOf(summary.sourcePpl()));
          property(out, "PPL result", String.valueOf(summary.resultPpl()));
        });
    out.close().line();
  }

  private static void property(Markup out, String name, String value) {
    out.empty("property", "name", name, "value", value).line();
  }

  private static void testCase(Markup out, String suite, Case each) {
    out.open("testcase", "classname", suite, "name", each.name());
    switch (each.outcome()) {
      case PASS -> out.element("system-out", each.detail());
      case SKIPPED -> out.empty("skipped", "message", each.message());
      case FAIL ->
          out.element("failure", each.detail(), "message", each.message(), "type", "bound");
    }
    out.close().line();
  }

  private static String[] suite(String name, List<Case> cases, boolean skipped) {
    List<String> attributes =
        new ArrayList<>(List.of("name", name, "tests", String.valueOf(cases.size())));
    attributes.addAll(List.of("failures", count(cases, Gate.Outcome.FAIL), "errors", "0"));
    if (skipped) {
      attributes.addAll(List.of("skipped", count(cases, Gate.Outcome.SKIPPED)));
    }
    return attributes.toArray(String[]::new);
  }

  private static String count(List<Case> cases, Gate.Outcome outcome) {
    return String.valueOf(cases.stream().filter(each -> each.outcome() == outcome).count());
  }
}
