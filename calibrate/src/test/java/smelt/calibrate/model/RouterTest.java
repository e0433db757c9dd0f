package smelt.calibrate.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import smelt.calibrate.model.RoutingRule.BiasedSigmoid;
import smelt.calibrate.model.RoutingRule.Softmax;

class RouterTest {

  private static Routing choose(RoutingRule rule, float[] bias, float... logits) {
    Routing routing = new Routing(rule.chosen(), 1);
    new Router(rule, bias).choose(logits, routing, 0);
    return routing;
  }

  private static List<Integer> experts(Routing routing) {
    return IntStream.range(0, routing.k()).mapToObj(rank -> routing.expert(0, rank)).toList();
  }

  private static double[] weights(Routing routing) {
    return IntStream.range(0, routing.k()).mapToDouble(rank -> routing.weight(0, rank)).toArray();
  }

  private static float logit(double score) {
    return (float) Math.log(score / (1 - score));
  }

  @Test
  void theCorrectionBiasDecidesTheChoiceButNotTheWeight() {
    BiasedSigmoid rule = new BiasedSigmoid(4, 2, 1, 1, true, 2.5);
    float[] bias = {0, 0, 0.5f, 0};
    Routing routing = choose(rule, bias, logit(0.6), logit(0.5), logit(0.2), logit(0.1));
    assertThat(experts(routing)).containsExactly(2, 0);
    assertThat(weights(routing)).containsExactly(new double[] {0.625, 1.875}, within(1e-6));
    assertThat(routing.margin(0)).isCloseTo(0.1f, within(1e-6f));
  }

  @Test
  void aGroupOfSigmoidsIsAsGoodAsItsTwoBestTogether() {
    BiasedSigmoid rule = new BiasedSigmoid(6, 2, 2, 1, false, 1);
    float[] logits = {logit(0.9), logit(0.1), logit(0.1), logit(0.6), logit(0.55), logit(0.3)};
    Routing routing = choose(rule, new float[6], logits);
    assertThat(experts(routing)).containsExactly(3, 4);
    assertThat(weights(routing)).containsExactly(new double[] {0.6, 0.55}, within(1e-6));
    assertThat(routing.margin(0)).as("of the groups: 1.15 to 1.0").isCloseTo(0.15f, within(1e-6f));
  }

  @Test
  void aGroupOfASoftmaxIsAsGoodAsItsBest() {
    Softmax rule = new Softmax(6, 2, 2, 1, false, 1);
    float[] logits = {
      (float) Math.log(0.4),
      (float) Math.log(0.02),
      (float) Math.log(0.03),
      (float) Math.log(0.25),
      (float) Math.log(0.2),
      (float) Math.log(0.1)
    };
    assertThat(experts(choose(rule, new float[0], logits))).containsExactly(0, 2);
  }

  @Test
  void aSoftmaxIsEitherScaledOrRenormalised() {
    float[] logits = {(float) Math.log(0.5), (float) Math.log(0.3), (float) Math.log(0.2)};
    Routing scaled = choose(new Softmax(3, 2, 1, 1, false, 16), new float[0], logits);
    assertThat(weights(scaled)).containsExactly(new double[] {8, 4.8}, within(1e-5));
    Routing renormalised = choose(new Softmax(3, 2, 1, 1, true, 1), new float[0], logits);
    assertThat(weights(renormalised)).containsExactly(new double[] {0.625, 0.375}, within(1e-6));
    assertThatThrownBy(() -> new Softmax(3, 2, 1, 1, true, 16))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void neverChoosesFromAMaskedGroupEvenWhenAllEligibleScoresAreNegative() {
    BiasedSigmoid rule = new BiasedSigmoid(4, 2, 2, 1, true, 1);
    float[] bias = {-2, -2, -3, -3};
    Routing routing = choose(rule, bias, logit(0.5), logit(0.4), logit(0.9), logit(0.9));
    assertThat(experts(routing)).containsExactly(0, 1);
  }

  @Test
  void amongEqualsTheLowerNumberWins() {
    Routing routing = choose(new Softmax(4, 2, 1, 1, true, 1), new float[0], 1, 2, 2, 2);
    assertThat(experts(routing)).containsExactly(1, 2);
    assertThat(routing.margin(0)).isZero();
  }

  @Test
  void prescribedExpertsGetWeightsFromTheOwnScores() {
    BiasedSigmoid rule = new BiasedSigmoid(4, 2, 1, 1, true, 2);
    Routing prescribed = new Routing(2, 3);
    prescribed.set(2, 0, 3, 0.9f);
    prescribed.set(2, 1, 1, 0.1f);
    Routing routing = new Routing(2, 8);
    float[] logits = {logit(0.9), logit(0.6), logit(0.8), logit(0.2)};
    new Router(rule, new float[4]).follow(logits, new Forced(5, prescribed), routing, 7);
    assertThat(routing.expert(7, 0)).isEqualTo(3);
    assertThat(routing.weight(7, 0)).isCloseTo(0.5f, within(1e-6f));
    assertThat(routing.expert(7, 1)).isEqualTo(1);
    assertThat(routing.weight(7, 1)).isCloseTo(1.5f, within(1e-6f));
  }

  @Test
  void refusesGroupsThatCannotHoldTheChosenExperts() {
    assertThatThrownBy(() -> new Softmax(16, 5, 4, 1, true, 1))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> new BiasedSigmoid(16, 2, 3, 1, true, 1))
        .isInstanceOf(IllegalArgumentException.class);
  }

  /// The definition, by sorting.
  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3})
  void choosesAsSortingDoes(long seed) {
    Random random = new Random(seed);
    for (int round = 0; round < 200; round++) {
      int groups = 1 << random.nextInt(4);
      int size = 2 + random.nextInt(7);
      int kept = 1 + random.nextInt(groups);
      int chosen = 1 + random.nextInt(kept * size);
      float[] bias = gaussians(random, groups * size);
      float[] logits = gaussians(random, groups * size);
      BiasedSigmoid rule = new BiasedSigmoid(groups * size, chosen, groups, kept, true, 1);
      double[] ranked =
          IntStream.range(0, logits.length)
              .mapToDouble(e -> (float) (1 / (1 + Math.exp(-logits[e]))) + bias[e])
              .toArray();
      List<Integer> bestGroups =
          IntStream.range(0, groups)
              .boxed()
              .sorted(Comparator.comparingDouble(g -> -topTwo(ranked, g * size, size)))
              .limit(kept)
              .toList();
      List<Integer> expected =
          IntStream.range(0, logits.length)
              .boxed()
              .filter(e -> bestGroups.contains(e / size))
              .sorted(Comparator.comparingDouble(e -> -ranked[e]))
              .limit(chosen)
              .toList();
      assertThat(experts(choose(rule, bias, logits))).as("round %d", round).isEqualTo(expected);
    }
  }

  private static double topTwo(double[] values, int first, int count) {
    double[] sorted = java.util.Arrays.copyOfRange(values, first, first + count);
    java.util.Arrays.sort(sorted);
    return sorted[count - 1] + sorted[count - 2];
  }

  private static float[] gaussians(Random random, int count) {
    float[] numbers = new float[count];
    for (int i = 0; i < count; i++) {
      numbers[i] = (float) random.nextGaussian();
    }
    return numbers;
  }
}
