package smelt.calibrate.model;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import smelt.formats.Checkout;

/// The sample models against what an independent implementation computed in F32.
class GoldenTest {

  private static final double LOGITS = 2e-4;
  private static final double HIDDEN = 1e-4;
  private static final double CLEAR_MARGIN = 1e-4;

  private static Path sample(String name) {
    return Checkout.root().resolve("samples").resolve(name);
  }

  @ParameterizedTest
  @CsvSource({"tiny-deepseek-v3, bf16", "tiny-deepseek-v3-fp8, fp8"})
  void givesTheGoldenLogitsOfEverySequence(String model, String variant) throws IOException {
    Golden golden = Golden.tinyDeepSeek();
    List<int[]> sequences = golden.sequences();
    SampleRun run = SampleRun.of(sample(model), sequences);
    int first = 0;
    for (int s = 0; s < sequences.size(); s++) {
      int n = sequences.get(s).length;
      if (s == 1) {
        layers(golden.array(variant + "/seq1.layer_hidden.npy"), run, first, n);
      }
      experts(golden, variant + "/seq" + s, run, first, n);
      double hidden =
          distance(
              golden.array(variant + "/seq" + s + ".final_hidden.npy"), run.finalHidden(), first);
      double logits =
          distance(golden.array(variant + "/seq" + s + ".logits.npy"), run.logits(), first);
      assertThat(hidden).as("final hidden state, sequence %d", s).isLessThan(HIDDEN);
      assertThat(logits).as("logits, sequence %d", s).isLessThan(LOGITS);
      first += n;
    }
  }

  private static void layers(Npy golden, SampleRun run, int first, int n) {
    for (int layer = 0; layer < run.layerHidden().size(); layer++) {
      double worst = 0;
      for (int token = 0; token < n; token++) {
        float[] own = run.layerHidden().get(layer)[first + token];
        for (int i = 0; i < own.length; i++) {
          worst = Math.max(worst, Math.abs(golden.get(layer, token, i) - own[i]));
        }
      }
      assertThat(worst).as("hidden state behind %d layers", layer).isLessThan(HIDDEN);
    }
  }

  private static void experts(Golden golden, String name, SampleRun run, int first, int n)
      throws IOException {
    Npy experts = golden.array(name + ".experts.npy");
    Npy weights = golden.array(name + ".expert_weights.npy");
    Npy margins = golden.array(name + ".routing_margin.npy");
    double worst = 0, worstw = 0;
    for (int layer = 0; layer < run.routings().size(); layer++) {
      Routing routing = run.routings().get(layer);
      for (int token = 0; token < n; token++) {
        double margin = Math.min(margins.get(layer, token, 0), margins.get(layer, token, 1));
        worst = Math.max(worst, Math.abs(margin - routing.margin(first + token)));
        if (margin > CLEAR_MARGIN) {
          for (int rank = 0; rank < routing.k(); rank++) {
            boolean found = false;
            for (int other = 0; other < routing.k(); other++) {
              if (routing.expert(first + token, other) == (int) experts.get(layer, token, rank)) {
                found = true;
                worstw =
                    Math.max(
                        worstw,
                        Math.abs(
                            routing.weight(first + token, other)
                                - weights.get(layer, token, rank)));
              }
            }
            assertThat(found).isTrue();
          }
        }
      }
    }
  }

  private static double distance(Npy golden, float[][] rows, int first) {
    double worst = 0;
    for (int token = 0; token < golden.shape()[0]; token++) {
      for (int i = 0; i < golden.shape()[1]; i++) {
        worst = Math.max(worst, Math.abs(golden.get(token, i) - rows[first + token][i]));
      }
    }
    return worst;
  }
}
