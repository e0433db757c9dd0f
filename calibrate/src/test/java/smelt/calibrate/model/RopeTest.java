package smelt.calibrate.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;
import smelt.calibrate.math.RopeLayout;
import smelt.calibrate.model.Rope.Scaling;

class RopeTest {

  private static Rope rope(int size, double theta, Scaling scaling) {
    return new Rope(size, theta, RopeLayout.INTERLEAVED, scaling);
  }

  @Test
  void withoutScalingFrequenciesFallGeometrically() {
    assertThat(rope(8, 10_000, new Scaling.None()).frequencies())
        .containsExactly(new double[] {1, 0.1, 0.01, 0.001}, within(1e-15));
  }

  /// DeepSeek-V3: 64 numbers, factor 40, original context 4096. The pairs that turn 32 times and
  /// once are number 10.46 and 22.51, so the ramp goes from 10 to 23.
  @Test
  void yarnKeepsHighFrequenciesAndStretchesLowOnes() {
    Scaling.Yarn yarn = new Scaling.Yarn(40, 4096, 32, 1, 1, 1);
    double[] plain = rope(64, 10_000, new Scaling.None()).frequencies();
    double[] scaled = rope(64, 10_000, yarn).frequencies();
    for (int i = 0; i < scaled.length; i++) {
      double stretched = Math.clamp((i - 10) / 13.0, 0, 1);
      double expected = plain[i] * (1 - stretched) + plain[i] / 40 * stretched;
      assertThat(scaled[i]).as("pair %d", i).isCloseTo(expected, within(1e-15));
    }
  }

  @Test
  void yarnMovesItsMagnitudeIntoTheSoftmaxWhereTheConfigSaysSo() {
    double correction = 0.1 * Math.log(40) + 1;
    Scaling.Yarn deepSeekV3 = new Scaling.Yarn(40, 4096, 32, 1, 1, 1);
    assertThat(deepSeekV3.rotationFactor()).isEqualTo(1);
    assertThat(deepSeekV3.softmaxFactor()).isCloseTo(correction * correction, within(1e-12));
    Scaling.Yarn plain = new Scaling.Yarn(40, 4096, 32, 1, 1, 0);
    assertThat(plain.rotationFactor()).isCloseTo(correction, within(1e-12));
    assertThat(plain.softmaxFactor()).isEqualTo(1);
  }

  @Test
  void llama3KeepsShortWavesAndStretchesLongOnes() {
    Scaling.Llama3 llama = new Scaling.Llama3(8, 1, 4, 8192);
    double[] plain = rope(128, 500_000, new Scaling.None()).frequencies();
    double[] scaled = rope(128, 500_000, llama).frequencies();
    for (int i = 0; i < scaled.length; i++) {
      double wave = 2 * Math.PI / plain[i];
      double smooth = (8192 / wave - 1) / (4 - 1);
      double expected =
          wave < 8192 / 4.0
              ? plain[i]
              : wave > 8192 ? plain[i] / 8 : (1 - smooth) * plain[i] / 8 + smooth * plain[i];
      assertThat(scaled[i]).as("pair %d", i).isCloseTo(expected, within(1e-15));
    }
  }
}
