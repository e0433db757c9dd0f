package smelt.calibrate.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import smelt.calibrate.model.SampleRun.Setup;
import smelt.formats.Checkout;
import smelt.formats.Share;
import tools.jackson.databind.JsonNode;

/// Typical mistakes are planted, and do what they did to an independent implementation: so their
/// size tells them apart, and none of them is in the model unseen.
///
/// Perplexity and the divergence from the model without mistakes are those of the 32 small windows.
class FaultTest {

  /// Relative, of perplexities.
  private static final double PERPLEXITY = 1e-4;

  /// Relative, of divergences.
  private static final double DIVERGENCE = 0.01;

  /// Absolute, of divergences: one token whose routing is a tie within rounding may have other
  /// experts, which moves the mean over 8192 tokens by up to so much.
  private static final double TIE = 2e-5;

  /// Relative, between the mean over all windows and over all but one.
  private static final double WINDOWS = 0.1;

  private static final Path SAMPLES = Checkout.root().resolve("samples");

  private static Windows windows;
  private static JsonNode listed;
  private static float[][] right;

  @TempDir private Path temp;

  /// Each takes seconds, so that a check runs a third of them; `./dev long` all.
  static List<Fault> faults() {
    return Share.of(Fault.all(), 4);
  }

  @BeforeAll
  static void runWithoutFaults() throws IOException {
    Golden golden = Golden.tinyDeepSeek();
    windows = Windows.few(golden);
    listed = golden.json("mistakes.json");
    right = SampleRun.of(SAMPLES.resolve("tiny-deepseek-v3"), windows.inputs()).logits();
  }

  @AfterAll
  static void forget() {
    right = new float[0][];
  }

  @ParameterizedTest
  @MethodSource("faults")
  void aPlantedMistakeDoesWhatItDidElsewhere(Fault fault) throws IOException {
    Path model = fault.plant(SAMPLES, temp);
    float[][] wrong =
        SampleRun.of(model, windows.inputs(), Setup.PLAIN.change(fault.change())).logits();
    JsonNode expected =
        listed
            .valueStream()
            .filter(node -> node.path("case").stringValue().equals(fault.name()))
            .findFirst()
            .orElseThrow();
    double perplexity = expected.path("ppl_small").doubleValue();
    double divergence = expected.path("kl").doubleValue();
    double foundPerplexity = windows.perplexity(wrong);
    double foundDivergence = Windows.divergence(right, wrong);
    System.out.printf(
        "%s: perplexity %.4f, listed %.4f; KL %.4g, listed %.4g%n",
        fault, foundPerplexity, perplexity, foundDivergence, divergence);
    assertThat(foundPerplexity)
        .as("perplexity")
        .isCloseTo(perplexity, within(PERPLEXITY * perplexity));
    assertThat(foundDivergence)
        .as("divergence")
        .isCloseTo(divergence, within(DIVERGENCE * divergence + TIE));
    if (divergence < TIE) {
      double[] byWindow = Windows.divergences(right, wrong);
      double worst = Arrays.stream(byWindow).max().orElseThrow();
      double others = (Arrays.stream(byWindow).sum() - worst) / (byWindow.length - 1);
      System.out.printf("%s: KL without the window that has a tie %.4g%n", fault, others);
      assertThat(others)
          .as("divergence without the window that has a tie")
          .isCloseTo(divergence, within(WINDOWS * divergence));
    }
  }

  @Test
  void everyMistakeOnTheListIsPlanted() {
    assertThat(Stream.concat(Stream.of("correct"), Fault.all().stream().map(Fault::name)))
        .containsExactlyElementsOf(
            listed.valueStream().map(node -> node.path("case").stringValue()).toList());
  }
}
