package smelt.converter.quality;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Predicate;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.converter.SampleModel;
import smelt.converter.run.Converting;
import smelt.converter.target.Target;
import smelt.formats.BadInputException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;
import smelt.verify.inference.Verification;
import smelt.verify.quality.Gate;
import smelt.verify.quality.Metric;
import smelt.verify.quality.QualityReport;

/// A faulty result is caught, and the report names where the fault is. The same result without
/// fault breaks no bound.
class PlantedFaultsTest {

  private static final String LAYER = "model.layers.2.";

  @TempDir static Path made;
  @TempDir Path folder;

  @BeforeAll
  static void convert() throws Exception {
    Converting.to(Target.INT8_CHANNEL).run(SampleModel.path(SampleModel.FP8), made.resolve("int8"));
  }

  private Fault fault() throws IOException {
    return Fault.inCopyOf(made.resolve("int8"), folder.resolve("faulty"));
  }

  private static QualityReport verify(Path result) throws IOException {
    return Verifying.on(128, 1024).run(result, SampleModel.path(SampleModel.FP8));
  }

  private static QualityReport verify(Fault fault) throws IOException {
    QualityReport report = verify(fault.model());
    assertThat(report.verdict().passed()).isFalse();
    return report;
  }

  private static List<Metric> failed(QualityReport report) {
    return report.verdict().gates().stream()
        .filter(gate -> gate.outcome() == Gate.Outcome.FAIL)
        .map(Gate::metric)
        .toList();
  }

  /// The named weights are the worst of all.
  private static void assertWorst(QualityReport report, int count, Predicate<String> named) {
    assertThat(report.verdict().worstTensors().subList(0, count)).allMatch(named);
    assertThat(report.verdict().gates())
        .filteredOn(gate -> gate.metric() == Metric.WEIGHT_SQNR)
        .singleElement()
        .satisfies(
            gate -> assertThat(gate.detail()).contains(report.verdict().worstTensors().getFirst()));
  }

  private static void print(String fault, QualityReport report) {
    System.out.printf(
        "%s: KL %.4g forced %.4g, fails %s, worst %s, layers %s%n",
        fault,
        report.summary().orElseThrow().kl().mean(),
        report.summary().orElseThrow().forcedKl().mean(),
        failed(report),
        report.verdict().worstTensors().subList(0, 3),
        report.verdict().worstLayers());
  }

  @Test
  void withoutAFaultNoBoundBreaks() throws IOException {
    QualityReport report = verify(made.resolve("int8"));
    print("none", report);
    assertThat(failed(report)).isEmpty();
  }

  @Test
  void namesExchangedExperts() throws IOException {
    QualityReport report =
        verify(fault().exchangeAll(LAYER + "mlp.experts.3.", LAYER + "mlp.experts.5."));
    print("exchanged experts", report);
    assertWorst(report, 6, name -> name.matches("model\\.layers\\.2\\.mlp\\.experts\\.[35]\\..*"));
    assertThat(report.verdict().worstLayers().getFirst()).isEqualTo(2);
    assertThat(failed(report)).contains(Metric.WEIGHT_SQNR, Metric.LAYER_SQNR, Metric.MEAN_KL);
  }

  @Test
  void namesAScaleThatIsTwiceAsLarge() throws IOException {
    String name = LAYER + "self_attn.kv_b_proj.weight";
    QualityReport report = verify(fault().scale(name, 2));
    print("scale off by 2", report);
    assertWorst(report, 1, name::equals);
    assertThat(report.verdict().worstLayers().getFirst()).isEqualTo(2);
    assertThat(failed(report)).contains(Metric.WEIGHT_SQNR, Metric.LAYER_SQNR, Metric.MEAN_KL);
  }

  @Test
  void namesATransposedProjection() throws IOException {
    String name = LAYER + "self_attn.o_proj.weight";
    QualityReport report = verify(fault().transpose(name));
    print("transposed", report);
    assertWorst(report, 1, name::equals);
    assertThat(report.verdict().worstLayers().getFirst()).isEqualTo(2);
    assertThat(failed(report)).contains(Metric.WEIGHT_SQNR, Metric.LAYER_SQNR, Metric.MEAN_KL);
  }

  @Test
  void namesADroppedCorrectionBias() throws IOException {
    String name = LAYER + "mlp.gate.e_score_correction_bias";
    QualityReport report = verify(fault().zero(name));
    print("dropped bias", report);
    assertWorst(report, 1, name::equals);
    assertThat(failed(report)).contains(Metric.WEIGHT_SQNR, Metric.ROUTED_MASS);
  }

  @Test
  void namesExchangedLayers() throws IOException {
    QualityReport report = verify(fault().exchangeAll("model.layers.1.", "model.layers.2."));
    print("exchanged layers", report);
    assertWorst(report, 10, name -> name.matches("model\\.layers\\.[12]\\..*"));
    assertThat(report.verdict().worstLayers().subList(0, 2)).containsExactlyInAnyOrder(1, 2);
    assertThat(failed(report)).contains(Metric.WEIGHT_SQNR, Metric.LAYER_SQNR, Metric.MEAN_KL);
  }

  @Test
  void namesAWrongRopeFactorThatNoWeightShows() throws IOException {
    QualityReport report = verify(fault().config("\"factor\": 4,", "\"factor\": 40,"));
    print("rope factor", report);
    assertThat(failed(report)).doesNotContain(Metric.WEIGHT_SQNR);
    assertThat(failed(report)).contains(Metric.LAYER_SQNR, Metric.MODEL_CHANGES);
    assertThat(report.verdict().gates())
        .filteredOn(gate -> gate.metric() == Metric.MODEL_CHANGES)
        .singleElement()
        .satisfies(gate ->
            assertThat(gate.detail()).isEqualTo("config.json rope_scaling.factor: 4 -> 40"));
    assertThat(report.configChanges()).containsEntry("rope_scaling.factor", "4 -> 40");
  }

  @Test
  void namesExchangedGateAndUp() throws IOException {
    QualityReport report =
        verify(
            fault()
                .exchange(
                    LAYER + "mlp.shared_experts.gate_proj.weight",
                    LAYER + "mlp.shared_experts.up_proj.weight"));
    print("gate and up", report);
    assertWorst(report, 2, name -> name.startsWith(LAYER + "mlp.shared_experts."));
    assertThat(report.verdict().worstLayers().getFirst()).isEqualTo(2);
    assertThat(failed(report)).contains(Metric.WEIGHT_SQNR, Metric.LAYER_SQNR);
  }

  @Test
  void namesAScaleThatIsNoNumberAndRunsNoText() throws IOException {
    String name = LAYER + "mlp.experts.3.up_proj.weight";
    QualityReport report = verify(fault().scale(name, Float.NaN));
    assertThat(failed(report)).contains(Metric.NON_FINITE);
    assertThat(report.verdict().gates())
        .filteredOn(gate -> gate.metric() == Metric.NON_FINITE)
        .singleElement()
        .satisfies(gate -> assertThat(gate.detail()).contains(name));
    assertThat(report.summary()).isEmpty();
    assertThat(report.notes())
        .anyMatch(note -> note.startsWith("No text was run: 1 weights of the result"));
  }

  @Test
  void refusesAnotherNumberOfExpertsForEachToken() throws IOException {
    Path faulty =
        fault().config("\"num_experts_per_tok\": 4", "\"num_experts_per_tok\": 5").model();
    try (ModelSource source = ModelSources.open(SampleModel.path(SampleModel.FP8));
        ModelSource result = ModelSources.open(faulty)) {
      Checkpoint a = Checkpoint.open(source);
      Checkpoint b = Checkpoint.open(result);
      assertThatThrownBy(() -> Verification.requireComparable(a, b))
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining("layer 1")
          .hasMessageContaining("5 of 16 experts for each token");
    }
  }
}
