package smelt.verify.inference;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import org.junit.jupiter.api.Test;
import smelt.verify.quality.ExpertUse;
import smelt.verify.quality.LayerScore;
import smelt.verify.quality.RouterScore;
import smelt.verify.quality.TokenScores;

class ComparisonTest {

  private static final String FP8 = "tiny-deepseek-v3-fp8";
  private static final String BF16 = "tiny-deepseek-v3";

  @Test
  void aModelIsExactlyLikeItself() throws Exception {
    Comparison comparison =
        Comparing.of(Comparing.sample(FP8), Comparing.sample(FP8))
            .run(List.of(Comparing.texts(3, 200)));
    TokenScores tokens = comparison.tokens();
    assertThat(tokens.size()).isEqualTo(3 * 199);
    assertThat(tokens.kl()).containsOnly(0);
    assertThat(tokens.forcedKl()).containsOnly(0);
    assertThat(tokens.sameTop()).containsOnly(true);
    assertThat(tokens.eosShift()).containsOnly(0);
    assertThat(tokens.logQ()).containsExactly(tokens.logP());
    assertThat(comparison.layers())
        .hasSize(4)
        .allSatisfy(layer -> {
          assertThat(layer.localDb()).isInfinite().isPositive();
          assertThat(layer.freeDb()).isInfinite().isPositive();
          assertThat(layer.forcedDb()).isInfinite().isPositive();
        });
    assertThat(comparison.layers().getFirst().router()).isEmpty();
    assertThat(comparison.layers().subList(1, 4))
        .extracting(layer -> layer.router().orElseThrow())
        .allSatisfy(router -> {
          assertThat(router.sameSet()).isEqualTo(1);
          assertThat(router.massOverlap()).isCloseTo(1, within(1e-6));
          assertThat(router.decidedFlips()).isEqualTo(0);
        });
  }

  @Test
  void countsTheExpertsOfTheSource() throws Exception {
    Comparison comparison =
        Comparing.of(Comparing.sample(BF16), Comparing.sample(FP8))
            .run(List.of(Comparing.texts(3, 16)));
    for (int layer = 1; layer < 4; layer++) {
      int number = layer;
      List<ExpertUse> uses =
          comparison.experts().stream().filter(use -> use.layer() == number).toList();
      assertThat(uses).hasSize(16);
      assertThat(uses.stream().mapToLong(ExpertUse::tokens).sum()).isEqualTo(3 * 16 * 4);
      assertThat(uses.stream().mapToDouble(ExpertUse::weight).sum())
          .isCloseTo(3 * 16 * 2.5, within(1e-3));
    }
  }

  @Test
  void roundingWeightsMovesAllMeasures() throws Exception {
    Comparison comparison =
        Comparing.of(Comparing.sample(BF16), Comparing.sample(FP8))
            .run(List.of(Comparing.texts(4, 32)));
    TokenScores tokens = comparison.tokens();
    assertThat(java.util.Arrays.stream(tokens.kl()).min().orElseThrow()).isPositive();
    double free = mean(tokens.kl());
    double forced = mean(tokens.forcedKl());
    assertThat(free).isBetween(1e-5, 1e-1);
    assertThat(forced).isLessThan(free);
    for (LayerScore layer : comparison.layers()) {
      assertThat(layer.localDb()).isBetween(15.0, 45.0);
      assertThat(layer.freeDb()).isBetween(15.0, 45.0);
      assertThat(layer.forcedDb()).isGreaterThan(layer.freeDb() - 0.5);
    }
    RouterScore router = comparison.layers().getLast().router().orElseThrow();
    assertThat(router.sameSet()).isBetween(0.5, 1.0);
    assertThat(router.overlap()).isBetween(router.sameSet(), 1.0);
  }

  @Test
  void roundsAndTilesOfTheHeadDoNotMatter() throws Exception {
    List<int[]> texts = Comparing.texts(9, 20);
    Comparing comparing = Comparing.of(Comparing.sample(BF16), Comparing.sample(FP8));
    Comparison once = comparing.run(List.of(texts));
    Comparison thrice =
        comparing
            .headRows(100)
            .run(List.of(texts.subList(0, 1), texts.subList(1, 4), texts.subList(4, 9)));
    assertThat(thrice.tokens().sequence()).isEqualTo(once.tokens().sequence());
    assertThat(thrice.tokens().target()).isEqualTo(once.tokens().target());
    assertThat(thrice.tokens().kl()).containsExactly(once.tokens().kl(), within(1e-9));
    assertThat(thrice.tokens().sameTop()).isEqualTo(once.tokens().sameTop());
    assertThat(thrice.experts()).hasSameSizeAs(once.experts());
    for (int layer = 0; layer < 4; layer++) {
      LayerScore a = once.layers().get(layer);
      LayerScore b = thrice.layers().get(layer);
      assertThat(b.localDb()).isCloseTo(a.localDb(), within(1e-6));
      assertThat(b.freeDb()).isCloseTo(a.freeDb(), within(1e-6));
      assertThat(b.localLimitDb().orElseThrow())
          .isCloseTo(a.localLimitDb().orElseThrow(), within(1e-6));
      assertThat(b.router().map(RouterScore::sameSet))
          .isEqualTo(a.router().map(RouterScore::sameSet));
    }
  }

  @Test
  void followingASourceThatRunsForOthersTooGivesTheSame() throws Exception {
    List<int[]> texts = Comparing.texts(3, 20);
    Comparing comparing = Comparing.of(Comparing.sample(BF16), Comparing.sample(FP8));
    Comparison alone = comparing.run(List.of(texts));
    for (Comparison followed : comparing.follow(Comparing.texts(5, 9), texts, 2)) {
      assertThat(followed.sequences()).isEqualTo(3);
      assertThat(followed.tokens().kl()).containsExactly(alone.tokens().kl());
      assertThat(followed.tokens().logQ()).containsExactly(alone.tokens().logQ());
      assertThat(followed.layers()).isEqualTo(alone.layers());
      assertThat(followed.experts()).isEqualTo(alone.experts());
    }
  }

  @Test
  void limitsOfLayersComeFromWholeDocuments() throws Exception {
    Comparison comparison =
        Comparing.of(Comparing.sample(BF16), Comparing.sample(FP8))
            .run(List.of(Comparing.texts(16, 12)));
    List<Integer> pairs = List.of(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    List<LayerScore> bySequence = comparison.layers();
    List<LayerScore> byDocument = comparison.layers(pairs, 0.95);
    List<LayerScore> surer = comparison.layers(pairs, 0.995);
    for (int layer = 0; layer < 4; layer++) {
      double value = byDocument.get(layer).localDb();
      double limit = byDocument.get(layer).localLimitDb().orElseThrow();
      assertThat(limit).isBetween(value - 12, value);
      assertThat(surer.get(layer).localLimitDb().orElseThrow()).isLessThan(limit);
      assertThat(bySequence.get(layer).localDb()).isEqualTo(value);
      assertThat(bySequence.get(layer).localLimitDb().orElseThrow()).isNotEqualTo(limit);
    }
    RouterScore router = byDocument.getLast().router().orElseThrow();
    assertThat(router.massLimit().orElseThrow()).isBetween(0.7, router.massOverlap() - 1e-3);
    assertThat(comparison.layers(List.of(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3), 0.95))
        .allSatisfy(layer -> assertThat(layer.localLimitDb()).isEmpty());
  }

  @Test
  void oneThreadAndThreeGiveEqualFigures() throws Exception {
    List<List<int[]>> rounds = List.of(Comparing.texts(8, 14));
    Comparing one = Comparing.of(Comparing.sample(BF16), Comparing.sample(FP8)).threads(1);
    Comparison a = one.run(rounds);
    Comparison b = one.threads(3).run(rounds);
    assertThat(b.tokens().kl()).containsExactly(a.tokens().kl());
    assertThat(b.tokens().forcedKl()).containsExactly(a.tokens().forcedKl());
    assertThat(b.tokens().logQ()).containsExactly(a.tokens().logQ());
    assertThat(b.tokens().eosShift()).containsExactly(a.tokens().eosShift());
    assertThat(b.layers()).isEqualTo(a.layers());
    assertThat(b.experts()).isEqualTo(a.experts());
  }

  private static double mean(double[] values) {
    return java.util.Arrays.stream(values).average().orElseThrow();
  }
}
