package smelt.converter.report;

import java.util.Locale;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// `{"title", "passed", "failed", "skipped", "sections": [{"name", "checks": [{"name", "outcome",
/// "detail"}], "figures": [{"name", "value", "unit"}]}]}`
final class JsonReport {

  private static final JsonMapper MAPPER =
      JsonMapper.builder().enable(SerializationFeature.INDENT_OUTPUT).build();

  private JsonReport() {}

  static String render(Report report) {
    ObjectNode json = JsonNodeFactory.instance.objectNode();
    json.put("title", report.title());
    for (Report.Outcome outcome : Report.Outcome.values()) {
      json.put(label(outcome), report.count(outcome));
    }
    ArrayNode sections = json.putArray("sections");
    report.sections().forEach(section -> section(sections.addObject(), section));
    return MAPPER.writeValueAsString(json) + "\n";
  }

  private static void section(ObjectNode json, Report.Section section) {
    json.put("name", section.name());
    ArrayNode checks = json.putArray("checks");
    for (Report.Check check : section.checks()) {
      checks
          .addObject()
          .put("name", check.name())
          .put("outcome", label(check.outcome()))
          .put("detail", check.detail());
    }
    ArrayNode figures = json.putArray("figures");
    for (Report.Figure figure : section.figures()) {
      figures
          .addObject()
          .put("name", figure.name())
          .put("value", figure.value())
          .put("unit", figure.unit());
    }
  }

  private static String label(Report.Outcome outcome) {
    return outcome.name().toLowerCase(Locale.ROOT);
  }
}
