package smelt.converter.quality;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.calibrate.smooth.OutlierModel;
import smelt.calibrate.smooth.Pair;
import smelt.calibrate.smooth.SmoothedModel;
import smelt.calibrate.smooth.Strength;
import smelt.converter.SampleModel;
import smelt.converter.run.Converting;
import smelt.converter.target.Target;

/// Outlier channels cost INT8 weights and activations dearly, and smoothing gets it back: measured
/// on the trained sample, with calibration and held-out text disjoint.
class OutlierChannelsTest {

  private static final long TOKENS = 1024;

  @TempDir Path folder;

  /// Mean KL of what a model becomes against the model.
  private double loss(Path model) throws Exception {
    Path made = folder.resolve(model.getFileName() + "-int8");
    Converting.to(Target.INT8_CHANNEL).run(model, made);
    return Verifying.on(256, TOKENS).run(made, model).summary().orElseThrow().kl().mean();
  }

  @Test
  void smoothingGetsBackWhatOutliersCost() throws Exception {
    Path sample = SampleModel.path(SampleModel.BF16);
    Path outliers = OutlierModel.write(sample, folder.resolve("outliers"));
    Path smoothed =
        SmoothedModel.write(
            outliers,
            CalibrationText.sequences(outliers),
            new SmoothedModel.Wanted(Pair.Kind.usual(), new Strength.Searched(), true),
            folder.resolve("smoothed"));
    double plain = loss(sample);
    double naive = loss(outliers);
    double kept = loss(smoothed);
    System.out.printf(
        "W8A8, mean KL: sample %.2e, outliers %.2e, smoothed %.2e%n", plain, naive, kept);
    assertThat(naive).isGreaterThan(5 * plain);
    assertThat(naive - kept).isGreaterThan(0.8 * naive);
  }
}
