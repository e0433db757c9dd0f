package smelt.verify.report;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.StringReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import javax.xml.XMLConstants;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.transform.stream.StreamSource;
import javax.xml.validation.SchemaFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;
import org.xml.sax.InputSource;
import smelt.verify.quality.Gate;
import smelt.verify.quality.QualityReport;
import smelt.verify.quality.TensorScore;
import smelt.verify.report.QualityRendering.Format;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class QualityRenderingTest {

  private static final JsonMapper STRICT =
      JsonMapper.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build();

  /// Markup, Markdown, an end of each kind of element, control characters, a bidirectional override
  /// and a lone surrogate.
  private static final String HOSTILE =
      "<script>alert(1)</script>\"'|`**x**]]>--><!--\u0000\u0007\u202e\ud800\n# x </style></svg>";

  /// What CI systems accept as JUnit XML: names and counts are required, nothing else is known.
  private static final String SCHEMA =
      """
      <xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
        <xs:element name="testsuites"><xs:complexType>
          <xs:sequence><xs:element ref="testsuite" maxOccurs="unbounded"/></xs:sequence>
          <xs:attribute name="name"/><xs:attribute name="tests" type="xs:int"/>
          <xs:attribute name="failures" type="xs:int"/><xs:attribute name="errors" type="xs:int"/>
        </xs:complexType></xs:element>
        <xs:element name="testsuite"><xs:complexType>
          <xs:sequence>
            <xs:element name="properties" minOccurs="0"><xs:complexType><xs:sequence>
              <xs:element name="property" maxOccurs="unbounded"><xs:complexType>
                <xs:attribute name="name" use="required"/><xs:attribute name="value" use="required"/>
              </xs:complexType></xs:element>
            </xs:sequence></xs:complexType></xs:element>
            <xs:element ref="testcase" minOccurs="0" maxOccurs="unbounded"/>
          </xs:sequence>
          <xs:attribute name="name" use="required"/>
          <xs:attribute name="tests" type="xs:int" use="required"/>
          <xs:attribute name="failures" type="xs:int" use="required"/>
          <xs:attribute name="errors" type="xs:int" use="required"/>
          <xs:attribute name="skipped" type="xs:int"/>
        </xs:complexType></xs:element>
        <xs:element name="testcase"><xs:complexType><xs:choice>
          <xs:element name="system-out" type="xs:string"/>
          <xs:element name="skipped"><xs:complexType><xs:attribute name="message"/></xs:complexType></xs:element>
          <xs:element name="failure"><xs:complexType><xs:simpleContent><xs:extension base="xs:string">
            <xs:attribute name="message"/><xs:attribute name="type" use="required"/>
          </xs:extension></xs:simpleContent></xs:complexType></xs:element>
        </xs:choice>
          <xs:attribute name="classname" use="required"/><xs:attribute name="name" use="required"/>
        </xs:complexType></xs:element>
      </xs:schema>
      """;

  private static List<QualityReport> all() {
    return List.of(
        Fixtures.passing(Fixtures.V3),
        Fixtures.passing(Fixtures.SMALL),
        Fixtures.passing(Fixtures.DENSE),
        Fixtures.failing(Fixtures.SMALL),
        Fixtures.lossless(),
        Fixtures.broken(),
        Fixtures.saying(HOSTILE));
  }

  @Test
  void htmlIsWellFormedForReportsOfAllShapes() throws Exception {
    for (QualityReport report : all()) {
      Document page = parse(QualityRendering.render(Format.HTML, report));
      assertThat(page.getDocumentElement().getTagName()).isEqualTo("html");
      assertThat(elements(page, "h1")).hasSize(1);
      for (Element drawing : elements(page, "svg")) {
        assertThat(drawing.getAttribute("aria-label")).isNotBlank();
        assertThat(drawing.getChildNodes().getLength()).isPositive();
      }
      for (Element link : elements(page, "a")) {
        String id = link.getAttribute("href").substring(1);
        assertThat(elements(page, "section"))
            .anyMatch(section -> section.getAttribute("id").equals(id));
      }
    }
  }

  @Test
  void htmlNeedsNothingButItself() {
    for (QualityReport report : all()) {
      String page = QualityRendering.render(Format.HTML, report);
      String names = page.replace("http://www.w3.org/2000/svg", "");
      assertThat(names).doesNotContain("http:", "https:", "<script", "<img", "<link", "@import");
      assertThat(names).doesNotContain("url(", " src=", " onclick", "javascript:");
      assertThat(page).contains("default-src &#39;none&#39;");
    }
  }

  @Test
  void stepsOfErrorAreNamedOnlyWhereThereIsError() {
    assertThat(QualityRendering.render(Format.HTML, Fixtures.lossless()))
        .doesNotContain("steps in");
    assertThat(QualityRendering.render(Format.HTML, Fixtures.passing(Fixtures.SMALL)))
        .contains("steps in dB");
  }

  @Test
  void aModelOfDeepSeekSizeFitsThePage() {
    QualityReport report = Fixtures.passing(Fixtures.V3);
    assertThat(report.tensors()).hasSizeGreaterThan(45_000);
    assertThat(bytes(Format.HTML, report)).isLessThan(2_000_000);
    assertThat(bytes(Format.MD, report)).isLessThan(100_000);
    assertThat(bytes(Format.JUNIT, report)).isLessThan(100_000);
  }

  @Test
  void longNamesDoNotOutgrowTheSummary() {
    QualityReport report = Fixtures.saying("<|`".repeat(200_000));
    assertThat(bytes(Format.MD, report)).isLessThan(200_000);
  }

  @ParameterizedTest
  @EnumSource
  void equalReportsGiveEqualBytes(Format format) {
    String first = QualityRendering.render(format, Fixtures.failing(Fixtures.SMALL));
    assertThat(QualityRendering.render(format, Fixtures.failing(Fixtures.SMALL))).isEqualTo(first);
    assertThat(first).doesNotContain("\r").endsWith("\n");
  }

  @ParameterizedTest
  @EnumSource
  void formatsAreFoundByTheirNames(Format format) {
    assertThat(Format.named(format.label())).contains(format);
    assertThat(Format.named("sarif")).isEqualTo(Optional.empty());
  }

  @Test
  void namesFromModelsStayText() throws Exception {
    QualityReport report = Fixtures.saying(HOSTILE);
    String html = QualityRendering.render(Format.HTML, report);
    assertThat(parse(html).getElementsByTagName("script").getLength()).isZero();
    assertThat(html)
        .contains("&lt;script&gt;alert(1)")
        .doesNotContain("\u0000", "\u0007", "\u202e");
    String markdown = QualityRendering.render(Format.MD, report);
    String text = markdown.substring(0, markdown.indexOf("## To get the same figures"));
    assertThat(text).doesNotContain("<script", "**x**", "\u202e", "\n# x", "<!--");
    assertThat(text).contains("&lt;script&gt;", "\\|");
    assertThat(markdown).contains("\n```sh\n");
    JsonNode json = STRICT.readTree(QualityRendering.render(Format.JSON, report));
    assertThat(json.get("verdict").get("profile").asString())
        .startsWith("<script>alert(1)</script>");
  }

  @Test
  void aCommandWithBackticksStaysInItsFence() {
    String markdown = QualityRendering.render(Format.MD, Fixtures.saying("a\n````\n# free"));
    assertThat(markdown).contains("`````sh\na\n````\n# free\n`````\n");
  }

  @Test
  void jsonHasEveryFigureWithSortedKeys() {
    QualityReport report = Fixtures.failing(Fixtures.SMALL);
    JsonNode json = STRICT.readTree(QualityRendering.render(Format.JSON, report));
    assertThat(json.get("schema").asString()).isEqualTo("smelt-verify/1");
    assertSorted(json);
    assertThat(json.get("tensors")).hasSameSizeAs(report.tensors());
    assertThat(json.get("layers")).hasSameSizeAs(report.layers());
    assertThat(json.get("expert_use")).hasSameSizeAs(report.experts());
    assertThat(json.at("/verdict/passed").asBoolean()).isFalse();
    assertThat(json.at("/verdict/outcome").asString()).isEqualTo("fail");
    assertThat(json.at("/summary/kl/mean").asDouble())
        .isEqualTo(report.summary().orElseThrow().kl().mean());
    Gate gate = report.verdict().gates().getFirst();
    assertThat(json.at("/gates/0/metric").asString()).isEqualTo("mean_kl");
    assertThat(json.at("/gates/0/limit").asDouble()).isEqualTo(gate.limit().getAsDouble());
  }

  @Test
  void jsonSaysWhatIsNotFiniteWithoutLiteralsThatParsersRefuse() {
    JsonNode exact = STRICT.readTree(QualityRendering.render(Format.JSON, Fixtures.lossless()));
    JsonNode weight = exact.at("/tensors/1");
    assertThat(weight.get("sqnr_db").isNull()).isTrue();
    assertThat(weight.get("sqnr_db_is").asString()).isEqualTo("inf");
    assertThat(weight.get("bit_exact").asBoolean()).isTrue();
    assertThat(exact.has("summary")).isFalse();
    JsonNode broken = STRICT.readTree(QualityRendering.render(Format.JSON, Fixtures.broken()));
    assertThat(broken.at("/summary/kl/mean").isNull()).isTrue();
    assertThat(broken.at("/summary/kl/mean_is").asString()).isEqualTo("nan");
    assertThat(broken.at("/layers/0/free_db_is").asString()).isEqualTo("inf");
  }

  @Test
  void junitKeepsTheSchemaAndCountsWhatItHolds() throws Exception {
    for (QualityReport report : all()) {
      String text = QualityRendering.render(Format.JUNIT, report);
      SchemaFactory.newInstance(XMLConstants.W3C_XML_SCHEMA_NS_URI)
          .newSchema(new StreamSource(new StringReader(SCHEMA)))
          .newValidator()
          .validate(new StreamSource(new StringReader(text)));
      for (Element suite : elements(parse(text), "testsuite")) {
        int cases = suite.getElementsByTagName("testcase").getLength();
        int failures = suite.getElementsByTagName("failure").getLength();
        assertThat(suite.getAttribute("tests")).isEqualTo(String.valueOf(cases));
        assertThat(suite.getAttribute("failures")).isEqualTo(String.valueOf(failures));
      }
    }
  }

  @Test
  void junitNamesTheLayerAtFault() throws Exception {
    QualityReport report = Fixtures.failing(Fixtures.SMALL);
    TensorScore worst = Weights.worst(report, 1).getFirst();
    Document xml = parse(QualityRendering.render(Format.JUNIT, report));
    List<Element> failed =
        elements(xml, "testsuite").stream()
            .filter(suite -> !suite.getAttribute("failures").equals("0"))
            .toList();
    assertThat(failed)
        .extracting(suite -> suite.getAttribute("name"))
        .containsExactly("gates", "layer " + worst.layer().getAsInt());
    assertThat(failed.get(1).getElementsByTagName("failure").item(0).getTextContent())
        .isEqualTo(worst.tensor());
    assertThat(elements(xml, "testcase")).hasSizeLessThan(30);
  }

  private static void assertSorted(JsonNode node) {
    List<String> keys = new ArrayList<>(node.propertyNames());
    assertThat(keys).isSorted();
    node.forEach(QualityRenderingTest::assertSorted);
  }

  private static long bytes(Format format, QualityReport report) {
    return QualityRendering.render(format, report).getBytes(StandardCharsets.UTF_8).length;
  }

  private static Document parse(String text) throws Exception {
    return DocumentBuilderFactory.newInstance()
        .newDocumentBuilder()
        .parse(new InputSource(new StringReader(text)));
  }

  private static List<Element> elements(Document document, String tag) {
    NodeList found = document.getElementsByTagName(tag);
    List<Element> elements = new ArrayList<>();
    for (int i = 0; i < found.getLength(); i++) {
      elements.add((Element) found.item(i));
    }
    return elements;
  }
}
