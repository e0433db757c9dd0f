package smelt.converter.report;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.StringReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.w3c.dom.Element;
import org.xml.sax.InputSource;
import smelt.converter.report.Report.Check;
import smelt.converter.report.Report.Figure;
import smelt.converter.report.Report.Outcome;
import smelt.converter.report.Report.Section;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class ReportsTest {

  private static final String HOSTILE = "a<b>&\"'|`\u001b[31m\u202e]]>\n# x";

  private static final Report REPORT =
      new Report(
          "check " + HOSTILE,
          List.of(
              new Section(
                  "integrity",
                  List.of(
                      new Check("digests", Outcome.PASSED, ""),
                      new Check(HOSTILE, Outcome.FAILED, "shard 1\n" + HOSTILE),
                      new Check("loader", Outcome.SKIPPED, "no config")),
                  List.of(new Figure("read", "1.84", "GB/s"), new Figure(HOSTILE, "7", "")))));

  @TempDir Path folder;

  @Test
  void junitIsWellFormedAndKeepsEveryOutcome() throws Exception {
    String xml = ReportFormat.JUNIT.render(REPORT);
    Element root =
        DocumentBuilderFactory.newInstance()
            .newDocumentBuilder()
            .parse(new InputSource(new StringReader(xml)))
            .getDocumentElement();
    Element suite = (Element) root.getElementsByTagName("testsuite").item(0);
    assertThat(suite.getAttribute("tests")).isEqualTo("3");
    assertThat(suite.getAttribute("failures")).isEqualTo("1");
    assertThat(suite.getAttribute("skipped")).isEqualTo("1");
    assertThat(root.getElementsByTagName("failure").getLength()).isEqualTo(1);
    Element failed = (Element) root.getElementsByTagName("testcase").item(1);
    assertThat(failed.getAttribute("name")).isEqualTo(HOSTILE.replace('\u001b', '?'));
    assertThat(failed.getTextContent()).contains("shard 1\n").contains("]]>");
  }

  @Test
  void jsonCountsAndKeepsNamesAsTheyAre() {
    JsonNode json = JsonMapper.shared().readTree(ReportFormat.JSON.render(REPORT));
    assertThat(json.get("passed").asInt()).isEqualTo(1);
    assertThat(json.get("failed").asInt()).isEqualTo(1);
    assertThat(json.get("skipped").asInt()).isEqualTo(1);
    JsonNode section = json.get("sections").get(0);
    assertThat(section.get("checks").get(1).get("name").asString()).isEqualTo(HOSTILE);
    assertThat(section.get("figures").get(0).get("value").asString()).isEqualTo("1.84");
  }

  @Test
  void markdownKeepsATableRowOnOneLineAndNothingInItIsMarkup() {
    String text = ReportFormat.MD.render(REPORT);
    assertThat(text.lines().filter(line -> line.startsWith("# "))).hasSize(1);
    assertThat(text.lines().filter(line -> line.contains("failed") && line.startsWith("|")))
        .singleElement()
        .asString()
        .startsWith("| a&lt;b&gt;&amp;\"'\\|\\`?\\[31m?\\]\\]&gt;<br>\\# x | failed | shard 1<br>");
    assertThat(text.codePoints().filter(c -> Character.isISOControl(c) && c != '\n')).isEmpty();
  }

  @Test
  void writesOneFileForEachFormatAndLeavesNothingElse() throws IOException {
    Path json = folder.resolve("made/for/it/report.json");
    Path md = folder.resolve("report.md");
    Files.writeString(md, "old");
    new Reports(Map.of(ReportFormat.JSON, json, ReportFormat.MD, md)).write(REPORT);
    assertThat(json).hasContent(ReportFormat.JSON.render(REPORT));
    assertThat(md).hasContent(ReportFormat.MD.render(REPORT));
    try (Stream<Path> files = Files.walk(folder)) {
      assertThat(files.filter(Files::isRegularFile)).containsExactlyInAnyOrder(json, md);
    }
  }
}
