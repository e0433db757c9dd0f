package smelt.calibrate.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import smelt.formats.Checkout;

/// Perplexity of the sample models on text that they were not trained on.
class PerplexityTest {

  /// Relative: 0.01 %.
  private static final double TOLERANCE = 1e-4;

  @ParameterizedTest
  @CsvSource({
    "tiny-deepseek-v3, tiny-dsv3-bf16",
    "tiny-deepseek-v3-fp8, tiny-dsv3-fp8",
  })
  void isTheGoldenOneOnTheSmallWindows(String sample, String variant) throws IOException {
    Golden golden = Golden.tinyDeepSeek();
    Windows windows = Windows.few(golden);
    double expected = figure(golden, variant, "ppl_small");
    double found = windows.perplexity(SampleRun.of(model(sample), windows.inputs()).logits());
    System.out.printf(
        "%s: perplexity %.6f on 32 windows, golden %.6f, %.4f %% off%n",
        sample, found, expected, 100 * (found / expected - 1));
    assertThat(found).isCloseTo(expected, within(TOLERANCE * expected));
  }

  /// All 907 windows take minutes. Run with `-Dsmelt.allWindows=true`.
  @ParameterizedTest
  @EnabledIfSystemProperty(named = "smelt.allWindows", matches = "true")
  @CsvSource({
    "tiny-deepseek-v3, tiny-dsv3-bf16, bf16",
    "tiny-deepseek-v3-fp8, tiny-dsv3-fp8, fp8",
  })
  void isTheGoldenOneOnAllWindows(String sample, String variant, String folder) throws IOException {
    Golden golden = Golden.tinyDeepSeek();
    Npy losses = golden.array(folder + "/window_nll.npy");
    int count = losses.shape()[0];
    double total = 0;
    double worst = 0;
    for (int first = 0; first < count; first += 32) {
      Windows windows = Windows.range(golden, first, Math.min(count, first + 32));
      double[] own = windows.losses(SampleRun.of(model(sample), windows.inputs()).logits());
      for (int w = 0; w < own.length; w++) {
        total += own[w];
        worst = Math.max(worst, Math.abs(own[w] - losses.get(first + w)));
      }
    }
    double found = Math.exp(total / (count * (double) Windows.SIZE));
    double expected = figure(golden, variant, "ppl_full");
    System.out.printf(
        "%s: perplexity %.6f, golden %.6f, worst window %.4f nats of %d tokens%n",
        sample, found, expected, worst, Windows.SIZE);
    assertThat(found).isCloseTo(expected, within(TOLERANCE * expected));
  }

  private static double figure(Golden golden, String variant, String name) throws IOException {
    return golden.json("ppl.json").path("models").path(variant).path(name).doubleValue();
  }

  private static Path model(String sample) {
    return Checkout.root().resolve("samples").resolve(sample);
  }
}
