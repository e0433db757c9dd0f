package smelt.verify.report;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.OptionalDouble;
import org.junit.jupiter.api.Test;
import smelt.verify.quality.Gate;
import smelt.verify.quality.Look;
import smelt.verify.quality.Metric;
import smelt.verify.quality.Verdict;

class VerdictTextTest {

  @Test
  void sharesNeverRoundToPerfection() {
    assertThat(Figures.share(1)).isEqualTo("100 %");
    assertThat(Figures.share(0.9999996)).isEqualTo("99.999960 %");
    assertThat(Figures.share(0.9651)).isEqualTo("96.51 %");
    assertThat(Figures.share(0)).isEqualTo("0 %");
    assertThat(Figures.share(0.000004)).isEqualTo("0.00040 %");
  }

  @Test
  void figuresHaveUnitsAndWordsForWhatIsNoNumber() {
    assertThat(Figures.of(Metric.MEAN_KL, 0.0091234, 0)).isEqualTo("0.00912 nats");
    assertThat(Figures.of(Metric.MEAN_KL, 3.2e-10, 0)).isEqualTo("3.20e-10 nats");
    assertThat(Figures.of(Metric.WEIGHT_SQNR, Double.POSITIVE_INFINITY, 0)).isEqualTo("∞");
    assertThat(Figures.of(Metric.LAYER_SQNR, Double.NaN, 0)).isEqualTo("not a number");
    assertThat(Figures.bytes(688_586_727_753L)).isEqualTo("688.6 GB");
    assertThat(Figures.count(91_991)).isEqualTo("91,991");
  }

  @Test
  void aLimitThatJustMissesItsBoundDoesNotReadLikeIt() {
    Gate gate = gate(Metric.MEAN_KL, 0.02, 0.0200001, Gate.Outcome.FAIL);
    assertThat(GateText.value(gate)).isNotEqualTo(Figures.of(Metric.MEAN_KL, 0.02, 0));
    assertThat(GateText.sentence(gate, Look.ONLY))
        .contains("0.0200001 nats")
        .contains("at most 0.02");
  }

  @Test
  void theSentenceNamesTheClosestBoundOfAPass() {
    Verdict verdict =
        verdict(
            gate(Metric.MEAN_KL, 0.02, 0.001, Gate.Outcome.PASS),
            gate(Metric.SAME_TOP, 0.94, 0.941, Gate.Outcome.PASS));
    assertThat(Standing.of(verdict)).isEqualTo(Standing.PASS);
    assertThat(Standing.why(verdict))
        .isEqualTo(
            "All 2 bounds of w8a8 hold. The closest: same top p is 94.10 %, the bound is at least"
                + " 94.00 %.");
  }

  @Test
  void theSentenceNamesWhatFails() {
    Verdict verdict =
        verdict(
            gate(Metric.MEAN_KL, 0.02, 0.001, Gate.Outcome.PASS),
            gate(Metric.WEIGHT_SQNR, 25, 6.02, Gate.Outcome.FAIL),
            gate(Metric.SAME_TOP, 0.94, 0, Gate.Outcome.SKIPPED));
    assertThat(Standing.of(verdict)).isEqualTo(Standing.FAIL);
    assertThat(Standing.why(verdict))
        .isEqualTo(
            "1 of 3 bounds of w8a8 fails: weight SQNR is 6.0 dB, the bound is at least 25.0 dB.");
  }

  @Test
  void whatIsNotMeasuredIsNoPassAndNeitherIsNothing() {
    Verdict open = verdict(gate(Metric.SAME_TOP, 0.94, 0, Gate.Outcome.SKIPPED));
    assertThat(Standing.of(open)).isEqualTo(Standing.INCOMPLETE);
    assertThat(Standing.why(open)).contains("1 of 1 bound was not measured: same top p");
    assertThat(Standing.of(verdict())).isEqualTo(Standing.INCOMPLETE);
  }

  @Test
  void axesHaveRoundTicks() {
    assertThat(new Axis(0, 61, false, 0, 1).ticks(7))
        .containsExactly(0., 10., 20., 30., 40., 50., 60.);
    Axis log = new Axis(1e-6, 1, true, 0, 60);
    assertThat(log.ticks(7).stream().map(log::label))
        .containsExactly("10⁻⁶", "10⁻⁵", "10⁻⁴", "10⁻³", "0.01", "0.1", "1");
    assertThat(log.at(1e-3)).isEqualTo(30, org.assertj.core.data.Offset.offset(1e-9));
  }

  private static Gate gate(Metric metric, double bound, double value, Gate.Outcome outcome) {
    return new Gate(metric, bound, value, OptionalDouble.empty(), outcome, "");
  }

  private static Verdict verdict(Gate... gates) {
    return new Verdict("w8a8", List.of(gates), List.of(), List.of());
  }
}
