package smelt.calibrate.cost;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Path;
import java.util.stream.LongStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import smelt.calibrate.model.ModelSpec;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.DeepSeekV3Fixture;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// DeepSeek-V3 in its true size against figures that were computed on paper.
class CostModelTest {

  /// Bytes of the published checkpoint without its layer of multi-token prediction.
  private static final long MAIN = 673_150_000_000L;

  @TempDir static Path folder;

  private static CostModel cost;

  @BeforeAll
  static void count() throws IOException {
    try (ModelSource source = ModelSources.open(DeepSeekV3Fixture.write(folder.resolve("v3")))) {
      cost = CostModel.of(ModelSpec.of(Checkpoint.open(source)));
    }
  }

  @Test
  void countsTheProductsOfAToken() {
    assertThat(cost.products() / 1e9).isCloseTo(73.2, within(0.06));
    assertThat(cost.productsOfAllExperts() / 1e9).isCloseTo(1_340, within(1.0));
    assertThat(cost.routedExperts() / 2e9).isCloseTo(20.4, within(0.05));
    // 61 layers of q_a, q_b, kv_a, kv_b and o, by hand.
    long attention = 7168L * 1536 + 1536L * 24_576 + 7168L * 576 + 512L * 32_768 + 16_384L * 7168;
    assertThat(attention / 1e6).isCloseTo(187.1, within(0.05));
    assertThat(cost.attention()).isEqualTo(2 * 61 * attention);
    assertThat(cost.head()).isEqualTo(2L * 129_280 * 7168);
    assertThat(cost.router()).isEqualTo(2L * 58 * 256 * 7168);
    assertThat(cost.dense()).isEqualTo(2L * 3 * 3 * 7168 * 18_432);
    assertThat(cost.sharedExperts()).isEqualTo(2L * 58 * 3 * 7168 * 2048);
    assertThat(cost.parts().stream().mapToLong(CostModel.Part::flops).sum())
        .isEqualTo(cost.products());
  }

  @ParameterizedTest
  @CsvSource({"512, 1.3", "2048, 5.1", "4096, 10.2"})
  void countsScoresOfSequences(int length, double gigaflops) {
    assertThat(cost.scoresPerToken(length) / 1e9).isCloseTo(gigaflops, within(0.05));
    assertThat((double) cost.scores(length))
        .isCloseTo(cost.scoresPerToken(length) * length, within(1.0));
  }

  @ParameterizedTest
  @CsvSource({
    "0.1, 1, 919",
    "0.1, 3, 306",
    "0.1, 7, 131",
    "4, 1, 36800",
    "4, 3, 12300",
    "4, 7, 5300",
    "400, 1, 3.7e6",
    "400, 3, 1.2e6",
    "400, 7, 0.53e6"
  })
  void tellsFromHowManyTokensOnComputingTakesLongerThanReading(
      double teraflops, double gigabytes, double tokens) {
    Rates rates = new Rates(gigabytes * 1e9, 1e9, teraflops * 1e12);
    double found = CostModel.crossover(MAIN, (double) cost.products(), rates);
    assertThat(found).isCloseTo(tokens, within(0.03 * tokens));
    assertThat(CostModel.crossover(MAIN, 2.0 * cost.products(), rates))
        .isCloseTo(found / 2, within(1e-6 * found));
  }

  @Test
  void addsUpWholeSequencesAndARest() {
    long whole = cost.forward(LongStream.of(2048, 2048, 100));
    assertThat(cost.forward(4196, 2048)).isCloseTo((double) whole, within(1e-12 * whole));
    assertThat(whole).isEqualTo(4196 * cost.products() + 2 * cost.scores(2048) + cost.scores(100));
    assertThat(cost.forwardWithoutHead(4196, 2048) + 4196.0 * cost.head())
        .isCloseTo((double) whole, within(1e-12 * whole));
  }

  /// 32 k tokens on two paths at 4 TFLOP/s take 20 minutes, reading at 1 GB/s takes 11.
  @Test
  void givesTimesBetweenAllAtOnceAndInTurn() {
    Rates rates = new Rates(1e9, 2e9, 4e12);
    Effort effort = new Effort(MAIN, 0, 2.0 * 32_768 * cost.products());
    assertThat(effort.computeSeconds(rates) / 60).isCloseTo(20, within(0.1));
    assertThat(effort.readSeconds(rates) / 60).isCloseTo(11.2, within(0.05));
    assertThat(effort.together(rates)).isEqualTo(effort.computeSeconds(rates));
    assertThat(effort.inTurn(rates) / 60).isCloseTo(31.2, within(0.1));
    Effort more = effort.plus(new Effort(0, 2e9, 0));
    assertThat(more.writeSeconds(rates)).isEqualTo(1);
    assertThat(more.inTurn(rates)).isCloseTo(effort.inTurn(rates) + 1, within(1e-9));
  }

  /// 58 layers: one pool of 7168 inputs, and of 8 experts 2048 each.
  @Test
  void countsSecondMoments() {
    assertThat(cost.hessians()).isEqualTo(58 * (2L * 7168 * 7168 + 8 * 2L * 2048 * 2048));
    double updates = 58.0 * 256 * (2 * 2048.0 * 7168 * 7168 + 7168.0 * 2048 * 2048);
    double factors = 58.0 * 4 / 3 * (Math.pow(7168, 3) + 256 * Math.pow(2048, 3));
    assertThat((double) cost.solving()).isCloseTo(updates + factors, within(1e6));
  }
}
