package smelt.calibrate.observe;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import smelt.calibrate.model.Observer;
import smelt.calibrate.model.Routing;
import smelt.formats.checkpoint.Weight;

class NearestTokensTest {

  /// A token, and the score that an expert gave it.
  private record Scored(int token, float score) {}

  /// Keeps scores of a layer beside what is under test.
  private static final class Scores implements Observer {
    final Map<Integer, List<Scored>> byExpert = new HashMap<>();
    final NearestTokens few = new NearestTokens(16, 5);
    final NearestTokens many = new NearestTokens(16, 1000);

    @Override
    public void input(List<Weight> weights, smelt.calibrate.math.Matrix x) {}

    @Override
    public void scored(int layer, long token, float[] scores, Routing routing) {
      if (layer == 2) {
        few.add(token, scores, routing);
        many.add(token, scores, routing);
        for (int e = 0; e < scores.length; e++) {
          boolean chose = false;
          for (int rank = 0; rank < routing.k(); rank++) {
            chose |= routing.expert(token, rank) == e;
          }
          if (!chose) {
            byExpert
                .computeIfAbsent(e, _ -> new ArrayList<>())
                .add(new Scored((int) token, scores[e]));
          }
        }
      }
    }
  }

  @Test
  void keepsThoseThatScoredHighestOfThoseThatChoseAnother() throws IOException {
    Scores seen = new Scores();
    ObservedRun.watch(ObservedRun.MODEL, seen);
    assertThat(seen.byExpert).hasSize(16);
    seen.byExpert.forEach((expert, scored) -> {
      int[] sorted =
          scored.stream()
              .sorted(
                  Comparator.comparing(Scored::score, Comparator.reverseOrder())
                      .thenComparingInt(Scored::token))
              .mapToInt(Scored::token)
              .toArray();
      assertThat(seen.many.choose(expert, 1000)).isEqualTo(sorted);
      assertThat(seen.few.choose(expert, 9)).containsExactly(java.util.Arrays.copyOf(sorted, 5));
      assertThat(seen.few.choose(expert, 2)).containsExactly(sorted[0], sorted[2]);
    });
  }
}
