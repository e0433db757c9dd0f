package smelt.calibrate.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import smelt.formats.Checkout;

/// The sample models against what an independent implementation computed in F32.
class GoldenTest {

  /// Largest difference of logits, whose standard deviation is 3.6.
  private static final double LOGITS = 2e-4;

  /// Largest difference of hidden states.
  private static final double HIDDEN = 1e-4;

  /// Choices with a smaller margin may fall either way.
  private static final double CLEAR = 1e-4;

  /// Differences of scores, weights and margins: rounding of one product, a sigmoid and a sum.
  private static final double SCORES = 1e-5;

  @ParameterizedTest
  @CsvSource({
    "tiny-deepseek-v3, bf16, auto",
    "tiny-deepseek-v3, bf16, scalar",
    "tiny-deepseek-v3-fp8, fp8, auto",
  })
  void everySequenceIsAsTheIndependentImplementationComputedIt(
      String model, String variant, String kernels) throws IOException {
    Golden golden = Golden.tinyDeepSeek();
    List<int[]> sequences = golden.sequences();
    Path sample = Checkout.root().resolve("samples").resolve(model);
    SampleRun run = SampleRun.of(sample, sequences, SampleRun.Setup.PLAIN.kernels(kernels));
    int first = 0;
    double hidden = 0;
    double logits = 0;
    for (int s = 0; s < sequences.size(); s++) {
      String name = variant + "/seq" + s;
      if (s == 1) {
        checkLayers(golden.array(name + ".layer_hidden.npy"), run, first);
      }
      checkExperts(golden, name, run, first);
      hidden = Math.max(hidden, distance(golden, name + ".final_hidden", run.finalHidden(), first));
      logits = Math.max(logits, distance(golden, name + ".logits", run.logits(), first));
      first += sequences.get(s).length;
    }
    System.out.printf(
        "%s, %s kernels: logits differ by at most %.2g, final hidden states by %.2g%n",
        model, kernels, logits, hidden);
    assertThat(hidden).as("final hidden state").isLessThan(HIDDEN);
    assertThat(logits).as("logits").isLessThan(LOGITS);
  }

  private static void checkLayers(Npy golden, SampleRun run, int first) {
    for (int layer = 0; layer < run.layerHidden().size(); layer++) {
      double worst = 0;
      for (int token = 0; token < golden.shape()[1]; token++) {
        float[] own = run.layerHidden().get(layer)[first + token];
        for (int i = 0; i < own.length; i++) {
          worst = Math.max(worst, Math.abs(golden.get(layer, token, i) - own[i]));
        }
      }
      assertThat(worst).as("hidden state behind %d layers", layer).isLessThan(HIDDEN);
    }
  }

  private static void checkExperts(Golden golden, String name, SampleRun run, int first)
      throws IOException {
    Npy experts = golden.array(name + ".experts.npy");
    Npy weights = golden.array(name + ".expert_weights.npy");
    Npy margins = golden.array(name + ".routing_margin.npy");
    for (int layer = 0; layer < run.routings().size(); layer++) {
      Routing routing = run.routings().get(layer);
      for (int token = 0; token < experts.shape()[1]; token++) {
        String where = name + ", expert layer " + layer + ", token " + token;
        double margin = Math.min(margins.get(layer, token, 0), margins.get(layer, token, 1));
        assertThat((double) routing.margin(first + token))
            .as("margin, %s", where)
            .isCloseTo(margin, within(SCORES));
        if (margin > CLEAR) {
          Map<Integer, Double> expected = new HashMap<>();
          Map<Integer, Double> chosen = new HashMap<>();
          for (int rank = 0; rank < routing.k(); rank++) {
            int expert = (int) experts.get(layer, token, rank);
            expected.put(expert, weights.get(layer, token, rank));
            chosen.put(
                routing.expert(first + token, rank), (double) routing.weight(first + token, rank));
          }
          assertThat(chosen.keySet()).as("experts, %s", where).isEqualTo(expected.keySet());
          expected.forEach((expert, weight) ->
              assertThat(chosen.get(expert))
                  .as("weight of expert %d, %s", expert, where)
                  .isCloseTo(weight, within(SCORES)));
        }
      }
    }
  }

  private static double distance(Golden golden, String name, float[][] rows, int first)
      throws IOException {
    Npy array = golden.array(name + ".npy");
    double worst = 0;
    for (int token = 0; token < array.shape()[0]; token++) {
      for (int i = 0; i < array.shape()[1]; i++) {
        worst = Math.max(worst, Math.abs(array.get(token, i) - rows[first + token][i]));
      }
    }
    return worst;
  }
}
