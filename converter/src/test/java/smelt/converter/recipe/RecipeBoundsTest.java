package smelt.converter.recipe;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import smelt.verify.quality.Metric;
import smelt.verify.quality.Profile;

class RecipeBoundsTest {

  private static Recipe read(String yaml) {
    return RecipeReader.read("test.yaml", yaml);
  }

  @Test
  void readsAProfileAndBoundsInItsPlace() {
    Recipe recipe =
        read(
            """
            name: x
            targets: [int8-channel]
            bounds: {profile: w8a8, mean_kl: 0.005, weight_sqnr: 40, routed_mass: none}
            """);
    BoundsSpec bounds = recipe.targets().getFirst().bounds().orElseThrow();
    assertThat(bounds.profile()).contains(Profile.W8A8);
    Map<Metric, Double> values = bounds.over(Profile.W8A8).values();
    assertThat(values)
        .containsEntry(Metric.MEAN_KL, 0.005)
        .containsEntry(Metric.WEIGHT_SQNR, 40.0)
        .containsEntry(Metric.SAME_TOP, Profile.W8A8.bounds().values().get(Metric.SAME_TOP))
        .doesNotContainKey(Metric.ROUTED_MASS);
  }

  @Test
  void aTargetsOwnBoundsGoBeforeThoseOfTheRecipe() {
    Recipe recipe =
        read(
            """
            name: x
            bounds: bf16
            targets:
            - bf16
            - target: int8-channel
              bounds: {mean_kl: 0.001}
            """);
    assertThat(recipe.targets().getFirst().bounds().orElseThrow().profile()).contains(Profile.BF16);
    BoundsSpec own = recipe.targets().getLast().bounds().orElseThrow();
    assertThat(own.profile()).isEmpty();
    assertThat(own.values()).containsExactly(Map.entry(Metric.MEAN_KL, Optional.of(0.001)));
  }

  @Test
  void showsBoundsButDoesNotCountThemToTheJob() {
    String base = "name: x\ntargets: [int8-channel]\n";
    Recipe without = read(base);
    Recipe with = read(base + "bounds: {profile: w8a8, mean_kl: 0.005, kl_999: none}\n");
    assertThat(with.canonicalJson())
        .contains("\"bounds\":{\"profile\":\"w8a8\",\"mean_kl\":0.005,\"kl_999\":\"none\"}");
    assertThat(without.canonicalJson()).doesNotContain("bounds");
    assertThat(with.digest()).isEqualTo(without.digest());
    assertThat(with.meaning()).isEqualTo(without.meaning());
  }
}
