package smelt.verify.quality;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static smelt.verify.quality.PlantedScores.evidence;
import static smelt.verify.quality.PlantedScores.gate;
import static smelt.verify.quality.PlantedScores.goodLayers;
import static smelt.verify.quality.PlantedScores.goodTensors;
import static smelt.verify.quality.PlantedScores.identical;
import static smelt.verify.quality.PlantedScores.layer;
import static smelt.verify.quality.PlantedScores.notPassed;
import static smelt.verify.quality.PlantedScores.tensor;
import static smelt.verify.quality.PlantedScores.tokens;

import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import smelt.verify.quality.Gate.Outcome;

class JudgeTest {

  private static final TokenScores GOOD = tokens(120, 1e-3, 0.2);

  private static Verdict judge(TokenScores scores) {
    return judge(Profile.W8A8.bounds(), scores);
  }

  private static Verdict judge(Bounds bounds, TokenScores scores) {
    return Judge.judge(
        Profile.W8A8, bounds, evidence(Optional.of(scores), goodLayers(), goodTensors()));
  }

  private static Verdict judge(List<LayerScore> layers, List<TensorScore> tensors) {
    return Judge.judge(
        Profile.W8A8,
        Profile.W8A8.bounds().with(Metric.BIT_EXACT, 0.3),
        evidence(Optional.of(GOOD), layers, tensors));
  }

  @Test
  void passesAGoodConversionWithItsLimitsOnTheBoundsSide() {
    Verdict verdict = judge(GOOD);
    assertThat(verdict.passed()).isTrue();
    assertThat(verdict.profile()).isEqualTo("w8a8");
    assertThat(verdict.gates()).hasSize(9);
    for (Metric metric : List.of(Metric.MEAN_KL, Metric.KL_999, Metric.PPL_RATIO)) {
      Gate gate = gate(verdict, metric);
      assertThat(gate.limit().orElseThrow()).isGreaterThan(gate.value());
    }
    Gate same = gate(verdict, Metric.SAME_TOP);
    assertThat(same.limit().orElseThrow()).isLessThan(same.value());
    assertThat(gate(verdict, Metric.WEIGHT_SQNR).limit()).isEmpty();
  }

  @ParameterizedTest
  @EnumSource(Profile.class)
  void identicalScoresPassEveryProfileWithLimitsThatAreTheValues(Profile profile) {
    double same = Double.POSITIVE_INFINITY;
    Verdict verdict =
        Judge.judge(
            profile,
            profile.bounds(),
            evidence(
                Optional.of(identical(100)),
                List.of(layer(0, same, 1 - 1e-15)),
                List.of(tensor("a", same, 0))));
    assertThat(notPassed(verdict)).isEmpty();
    assertThat(gate(verdict, Metric.MEAN_KL).value()).isZero();
    assertThat(gate(verdict, Metric.MEAN_KL).limit()).hasValue(0);
    assertThat(gate(verdict, Metric.KL_999).limit()).hasValue(0);
    assertThat(gate(verdict, Metric.PPL_RATIO).limit()).hasValue(1);
    assertThat(gate(verdict, Metric.SAME_TOP).limit()).hasValue(1);
    assertThat(verdict.worstTensors()).isEmpty();
    assertThat(verdict.worstLayers()).isEmpty();
  }

  @Test
  void losslessFailsOnTheSmallestDifferenceOfOneToken() {
    TokenScores scores = identical(5000);
    scores.kl()[17] = 1e-12;
    Verdict verdict =
        Judge.judge(
            Profile.LOSSLESS,
            Profile.LOSSLESS.bounds(),
            evidence(
                Optional.of(scores),
                goodLayers(),
                List.of(tensor("a", Double.POSITIVE_INFINITY, 0), tensor("b", 80, 0))));
    assertThat(notPassed(verdict))
        .contains(Metric.MEAN_KL, Metric.WEIGHT_SQNR, Metric.LAYER_SQNR, Metric.BIT_EXACT);
    assertThat(gate(verdict, Metric.BIT_EXACT).value()).isEqualTo(0.5);
    assertThat(gate(verdict, Metric.BIT_EXACT).detail()).endsWith("differ: b");
  }

  @Test
  void failsEveryTokenGateOnAPoorConversion() {
    Verdict verdict = judge(tokens(120, 0.2, 0.5));
    assertThat(notPassed(verdict))
        .contains(Metric.MEAN_KL, Metric.KL_999, Metric.SAME_TOP, Metric.PPL_RATIO);
    assertThat(verdict.passed()).isFalse();
  }

  @Test
  void aHeavyTailFailsThePercentileAlone() {
    TokenScores scores = tokens(120, 1e-3, 1);
    for (int i = 0; i < scores.size(); i += 500) {
      scores.kl()[i] = 0.5;
    }
    assertThat(notPassed(judge(scores))).containsExactly(Metric.KL_999);
    assertThat(gate(judge(scores), Metric.KL_999).detail())
        .isEqualTo("largest 5.0e-1 at sequence 0 position 0");
  }

  @Test
  void losingTheLikeliestTokenFailsSameTopAlone() {
    TokenScores scores = tokens(120, 1e-3, 1);
    for (int i = 0; i < scores.size(); i += 10) {
      scores.sameTop()[i] = false;
    }
    assertThat(notPassed(judge(scores))).containsExactly(Metric.SAME_TOP);
  }

  @Test
  void aWorsePerplexityFailsItsRatioAlone() {
    TokenScores scores = tokens(120, 1e-3, 1);
    for (int i = 0; i < scores.size(); i++) {
      scores.logQ()[i] -= 0.01;
    }
    assertThat(notPassed(judge(scores))).containsExactly(Metric.PPL_RATIO);
  }

  @ParameterizedTest
  @CsvSource({
    "NaN, 0, -1, -1",
    "-1e-9, 0, -1, -1",
    "0, NaN, -1, -1",
    "0, 0, NaN, -1",
    "0, 0, -1, NaN",
    "Infinity, 0, -1, -Infinity"
  })
  void scoresThatAreNoNumbersFail(double kl, double forced, double logP, double logQ) {
    for (TokenScores scores : List.of(tokens(120, 1e-3, 0.2), identical(3000))) {
      scores.kl()[70] = kl;
      scores.forcedKl()[70] = forced;
      scores.logP()[70] = logP;
      scores.logQ()[70] = logQ;
      Verdict verdict = judge(scores);
      Gate gate = gate(verdict, Metric.MEAN_KL);
      assertThat(notPassed(verdict))
          .containsExactly(Metric.MEAN_KL, Metric.KL_999, Metric.SAME_TOP, Metric.PPL_RATIO);
      assertThat(gate.outcome()).isEqualTo(Outcome.FAIL);
      assertThat(gate.detail()).startsWith("1 of ").contains("sequence 1 position");
    }
  }

  @Test
  void tooFewSequencesAreNoPassAndSayHowManyAreNeeded() {
    Gate gate = gate(judge(tokens(7, 1e-3, 1)), Metric.MEAN_KL);
    assertThat(gate.outcome()).isEqualTo(Outcome.SKIPPED);
    assertThat(gate.detail()).contains("7 documents give no 95 % limit; at least 8");
    assertThat(gate(judge(tokens(7, 1, 1)), Metric.MEAN_KL).outcome()).isEqualTo(Outcome.FAIL);
  }

  @Test
  void tooFewTokensForThePercentileAreNoPassAndSayHowManyAreNeeded() {
    Gate gate = gate(judge(tokens(20, 1e-3, 1)), Metric.KL_999);
    assertThat(gate.outcome()).isEqualTo(Outcome.SKIPPED);
    assertThat(gate.limit()).isEmpty();
    assertThat(gate.detail()).contains("no 95 % limit exists: 1,000 tokens are too few");
  }

  @Test
  void aLimitBeyondTheBoundFailsAndSaysHowManyTokensWouldDecide() {
    TokenScores scores = tokens(10, 1e-3, 1);
    double mean = Summaries.of(scores).kl().mean();
    Gate gate =
        gate(
            judge(Profile.W8A8.bounds().with(Metric.MEAN_KL, mean * 1.02), scores), Metric.MEAN_KL);
    assertThat(gate.value()).isLessThan(gate.bound());
    assertThat(gate.limit().orElseThrow()).isGreaterThan(gate.bound());
    assertThat(gate.outcome()).isEqualTo(Outcome.FAIL);
    assertThat(gate.detail()).startsWith("the value holds, its 95 % limit does not: 500 tokens");
  }

  @Test
  void aWeightThatOnlyOneModelHasIsAChangeAndIsNotBitExact() {
    ModelChanges changes =
        new ModelChanges(List.of(), List.of(), List.of("gone"), List.of("new"), List.of());
    Verdict verdict =
        Judge.judge(
            Profile.LOSSLESS,
            Profile.LOSSLESS.bounds().onlyWeights(),
            new Evidence(
                Optional.empty(),
                List.of(),
                List.of(tensor("a", Double.POSITIVE_INFINITY, 0)),
                changes));
    assertThat(notPassed(verdict)).containsExactly(Metric.BIT_EXACT, Metric.MODEL_CHANGES);
    assertThat(gate(verdict, Metric.BIT_EXACT).value()).isEqualTo(1.0 / 3);
    assertThat(gate(verdict, Metric.BIT_EXACT).detail())
        .isEqualTo("2 of 3 weights differ: gone, new");
    assertThat(gate(verdict, Metric.MODEL_CHANGES).detail()).isEqualTo("lost gone, added new");
  }

  @Test
  void nothingMeasuredIsNoPass() {
    Verdict verdict =
        Judge.judge(
            Profile.LOSSLESS,
            Profile.LOSSLESS.bounds(),
            evidence(Optional.empty(), List.of(), List.of()));
    assertThat(verdict.gates()).hasSize(10);
    assertThat(gate(verdict, Metric.MODEL_CHANGES).outcome()).isEqualTo(Outcome.PASS);
    assertThat(verdict.gates())
        .filteredOn(gate -> gate.metric() != Metric.MODEL_CHANGES)
        .allSatisfy(gate -> assertThat(gate.outcome()).isEqualTo(Outcome.SKIPPED));
    assertThat(verdict.passed()).isFalse();
    assertThat(gate(judge(identical(0)), Metric.MEAN_KL).detail()).isEqualTo("no token was scored");
  }

  @Test
  void weightsAloneCanPassTheBoundsOnWeights() {
    Verdict verdict =
        Judge.judge(
            Profile.W8A8,
            Profile.W8A8.bounds().onlyWeights(),
            evidence(Optional.empty(), List.of(), goodTensors()));
    assertThat(verdict.passed()).isTrue();
    assertThat(verdict.gates()).hasSize(3);
  }

  @Test
  void aDamagedWeightFailsAndIsNamed() {
    Verdict verdict = judge(goodLayers(), List.of(tensor("a", 60, 0), tensor("swapped", -3, 0)));
    assertThat(notPassed(verdict)).containsExactly(Metric.WEIGHT_SQNR, Metric.BIT_EXACT);
    assertThat(gate(verdict, Metric.WEIGHT_SQNR).detail())
        .isEqualTo("worst: swapped -3.0 dB, a 60.0 dB");
    assertThat(verdict.worstTensors()).containsExactly("swapped", "a");
  }

  @Test
  void aWeightWithNanFailsAndIsTheWorst() {
    Verdict verdict =
        judge(
            goodLayers(),
            List.of(
                tensor("kept", Double.POSITIVE_INFINITY, 0),
                tensor("low", 10, 0),
                tensor("broken", Double.POSITIVE_INFINITY, 2),
                tensor("unknown", Double.NaN, 0)));
    assertThat(notPassed(verdict))
        .containsExactly(Metric.WEIGHT_SQNR, Metric.BIT_EXACT, Metric.NON_FINITE);
    assertThat(gate(verdict, Metric.NON_FINITE).value()).isEqualTo(2);
    assertThat(gate(verdict, Metric.NON_FINITE).detail()).isEqualTo("1 of 4 weights: broken");
    assertThat(verdict.worstTensors()).containsExactly("broken", "unknown", "low");
  }

  @Test
  void aDamagedLayerFailsAndIsNamed() {
    List<LayerScore> layers = List.of(layer(0, 40, 0.99), layer(1, 9, 0.99), layer(2, 50, 0.5));
    Verdict verdict = judge(layers, goodTensors());
    assertThat(notPassed(verdict)).containsExactly(Metric.LAYER_SQNR, Metric.ROUTED_MASS);
    assertThat(gate(verdict, Metric.LAYER_SQNR).detail()).startsWith("worst: layer 1 9.0 dB");
    assertThat(gate(verdict, Metric.ROUTED_MASS).detail()).isEqualTo("least in layer 2");
    assertThat(verdict.worstLayers()).containsExactly(1, 0, 2);
    Verdict nan = judge(List.of(layer(0, Double.NaN, Double.NaN)), goodTensors());
    assertThat(notPassed(nan)).containsExactly(Metric.LAYER_SQNR, Metric.ROUTED_MASS);
  }

  private static LayerScore limited(int number, double db, double dbLimit, double massLimit) {
    return new LayerScore(
        number,
        db,
        OptionalDouble.of(dbLimit),
        db,
        db,
        Optional.of(new RouterScore(1, 1, 0.99, OptionalDouble.of(massLimit), 0, 0)));
  }

  @Test
  void theLowestLimitOfAllLayersIsHeldAndItsLayerNamed() {
    Verdict verdict =
        judge(List.of(limited(0, 29, 28.5, 0.985), limited(1, 30, 27, 0.981)), goodTensors());
    assertThat(notPassed(verdict)).containsExactly(Metric.LAYER_SQNR);
    Gate gate = gate(verdict, Metric.LAYER_SQNR);
    assertThat(gate.value()).isEqualTo(29);
    assertThat(gate.limit()).hasValue(27);
    assertThat(gate.outcome()).isEqualTo(Outcome.FAIL);
    assertThat(gate.detail())
        .startsWith("the value holds, its 95 % limit does not: 6,000 tokens are too few to decide")
        .endsWith("worst: layer 0 29.0 dB, layer 1 30.0 dB; the lowest limit is layer 1's");
    assertThat(gate(verdict, Metric.ROUTED_MASS).limit()).hasValue(0.981);
    Verdict mass = judge(List.of(limited(0, 60, 60, 0.97)), goodTensors());
    assertThat(notPassed(mass)).containsExactly(Metric.ROUTED_MASS);
  }

  @Test
  void aLayerWithoutALimitIsNoPass() {
    LayerScore open =
        new LayerScore(
            1,
            60,
            OptionalDouble.empty(),
            60,
            60,
            Optional.of(new RouterScore(1, 1, 0.99, OptionalDouble.empty(), 0, 0)));
    Verdict verdict = judge(List.of(layer(0, 60, 0.999), open), goodTensors());
    for (Metric metric : List.of(Metric.LAYER_SQNR, Metric.ROUTED_MASS)) {
      assertThat(gate(verdict, metric).outcome()).isEqualTo(Outcome.SKIPPED);
      assertThat(gate(verdict, metric).detail()).contains("no 95 % limit exists");
    }
  }

  @Test
  void layersWithoutExpertsLoseNoRoutedMass() {
    LayerScore dense = new LayerScore(0, 60, OptionalDouble.of(59), 60, 60, Optional.empty());
    assertThat(notPassed(judge(List.of(dense), goodTensors()))).isEmpty();
  }

  @Test
  void theWorstListsHaveTenNames() {
    List<TensorScore> many =
        IntStream.range(0, 30).mapToObj(i -> tensor("t" + i, 70 - i, 0)).toList();
    Verdict verdict = judge(goodLayers(), many);
    assertThat(verdict.worstTensors()).hasSize(10).startsWith("t29", "t28");
  }

  @Test
  void notesTellRoutingFlipsFromError() {
    List<String> notes =
        Judge.notes(
            Profile.W8A8, Profile.W8A8.bounds(), Optional.of(tokens(40, 4.1e-3, 0.22)), Look.ONLY);
    assertThat(notes.getFirst()).startsWith("78 % of the KL comes from routing flips (free ");
    assertThat(notes.get(1)).contains("over 40 documents with 2,000 tokens");
    assertThat(
            Judge.notes(
                Profile.W8A8, Profile.W8A8.bounds(), Optional.of(tokens(40, 1e-3, 2)), Look.ONLY))
        .anySatisfy(note -> assertThat(note).startsWith("Routing flips add nothing to the KL"));
    assertThat(
            Judge.notes(
                Profile.W8A8, Profile.W8A8.bounds(), Optional.of(tokens(40, 1e-3, 1)), Look.ONLY))
        .noneSatisfy(note -> assertThat(note).contains("outing flips"));
  }

  @Test
  void notesNameBoundsThatAreNotTheProfilesOwn() {
    Bounds bounds = Profile.W8A8.bounds().with(Metric.MEAN_KL, 0.5).without(Metric.ROUTED_MASS);
    assertThat(Judge.notes(Profile.W8A8, bounds, Optional.empty(), Look.ONLY))
        .containsExactly(
            "Bounds set apart from profile w8a8: mean_kl 0.5 instead of 0.01."
                + " Not judged: routed_mass.");
  }

  @Test
  void summaryHasItsFormulas() {
    TokenScores scores = identical(100);
    for (int i = 0; i < 100; i++) {
      scores.kl()[i] = i;
      scores.logP()[i] = Math.log(0.5);
      scores.logQ()[i] = Math.log(0.25);
      scores.eosShift()[i] = i % 2;
    }
    scores.sameTop()[3] = false;
    Summary summary = Summaries.of(scores);
    assertThat(summary.kl().mean()).isEqualTo(49.5);
    assertThat(summary.kl().percentiles()).containsEntry(50.0, 49.0).containsEntry(99.9, 99.0);
    assertThat(summary.sourcePpl()).isCloseTo(2, within(1e-12));
    assertThat(summary.resultPpl()).isCloseTo(4, within(1e-12));
    assertThat(summary.logPplRatio().mean()).isCloseTo(Math.log(2), within(1e-12));
    assertThat(summary.deltaPRms()).isCloseTo(0.25, within(1e-12));
    assertThat(summary.deltaP().mean()).isCloseTo(-0.25, within(1e-12));
    assertThat(summary.sameTop()).isEqualTo(0.99);
    assertThat(summary.eosShift()).isEqualTo(0.5);
    assertThat(summary.designEffect()).isGreaterThan(1);
    assertThat(summary.forcedKl().max()).isZero();
  }
}
