package smelt.verify.quality;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import org.junit.jupiter.api.Test;

class BoundsTest {

  @Test
  void profilesAndMetricsAreFoundByTheirNames() {
    assertThat(Arrays.stream(Profile.values()).map(Profile::label))
        .containsExactly(
            "lossless",
            "bf16",
            "fp8",
            "int8-weight",
            "w8a8",
            "int4-experts",
            "int6-weight",
            "int5-weight",
            "int4-weight");
    for (Profile profile : Profile.values()) {
      assertThat(Profile.of(profile.label())).contains(profile);
    }
    for (Metric metric : Metric.values()) {
      assertThat(Bounds.metric(metric.label())).contains(metric);
    }
    assertThat(Profile.of("W8A8")).isEmpty();
    assertThat(Bounds.metric("kl")).isEmpty();
  }

  @Test
  void losslessBoundsEveryMetricAndTheOthersAllButBitExactness() {
    assertThat(Profile.LOSSLESS.bounds().values()).containsOnlyKeys(Metric.values());
    for (Profile profile : Profile.values()) {
      assertThat(profile.bounds().values()).containsEntry(Metric.NON_FINITE, 0.0);
      assertThat(profile.bounds().values().size()).isGreaterThanOrEqualTo(8);
    }
  }

  @Test
  void oneBoundIsReplacedOrDroppedAndTheOthersStay() {
    Bounds own = Profile.W8A8.bounds();
    Bounds changed = own.with(Metric.MEAN_KL, 0.02);
    assertThat(changed.values()).containsEntry(Metric.MEAN_KL, 0.02);
    assertThat(changed.without(Metric.MEAN_KL)).isEqualTo(own.without(Metric.MEAN_KL));
    assertThat(own.values()).containsEntry(Metric.MEAN_KL, 0.01);
    assertThat(own.onlyWeights().values())
        .containsOnlyKeys(Metric.WEIGHT_SQNR, Metric.NON_FINITE, Metric.MODEL_CHANGES);
  }

  @Test
  void refusesBoundsThatAMetricCannotHave() {
    Bounds own = Profile.W8A8.bounds();
    for (Metric metric : Metric.values()) {
      assertThatThrownBy(() -> own.with(metric, Double.NaN))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining(metric.label());
    }
    assertThatThrownBy(() -> own.with(Metric.SAME_TOP, 97))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> own.with(Metric.MEAN_KL, -1))
        .isInstanceOf(IllegalArgumentException.class);
  }
}
