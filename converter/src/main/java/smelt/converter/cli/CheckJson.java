package smelt.converter.cli;

import smelt.verify.Check;
import smelt.verify.CheckReport;
import smelt.verify.Finding;
import smelt.verify.RuleText;
import smelt.verify.ServingRuntime;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// What `smelt check --json` answers: `{"model", "for", "why", "failed", "findings": [{"rule",
/// "severity", "runtimes", "where", "found", "expected", "consequence"}], "passed", "skipped",
/// "figures"}`.
final class CheckJson {

  private CheckJson() {}

  static ObjectNode of(CheckReport report) {
    ObjectNode json = JsonNodeFactory.instance.objectNode();
    json.put("model", report.location());
    ArrayNode runtimes = json.putArray("for");
    report.runtimes().forEach(runtime -> runtimes.add(runtime.label()));
    json.put("why", report.why());
    json.put("failed", report.failed());
    ArrayNode findings = json.putArray("findings");
    report.findings().forEach(finding -> finding(findings.addObject(), finding));
    ArrayNode passed = json.putArray("passed");
    report.passed().forEach(passed::add);
    ArrayNode skipped = json.putArray("skipped");
    report
        .skipped()
        .forEach(s -> skipped.addObject().put("rule", s.rule()).put("reason", s.reason()));
    ObjectNode figures = json.putObject("figures");
    report.figures().forEach(figures::put);
    return json;
  }

  private static void finding(ObjectNode json, Finding finding) {
    json.put("rule", finding.rule()).put("severity", finding.severity().label());
    ArrayNode runtimes = json.putArray("runtimes");
    finding.runtimes().stream().sorted().map(ServingRuntime::label).forEach(runtimes::add);
    json.put("where", finding.where()).put("found", finding.found());
    json.put("expected", finding.expected()).put("consequence", finding.consequence());
  }

  static ArrayNode rules() {
    ArrayNode json = JsonNodeFactory.instance.arrayNode();
    for (RuleText rule : Check.rules()) {
      json.addObject()
          .put("name", rule.name())
          .put("runtimes", rule.runtimeLabels())
          .put("reads", rule.reads())
          .put("meaning", rule.meaning());
    }
    return json;
  }
}
