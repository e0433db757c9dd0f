package smelt.calibrate.smooth;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Weight;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// The sample with outlier channels is the same model in other numbers.
class OutlierModelTest {

  @TempDir private static Path temporary;

  private static Path outliers;

  @BeforeAll
  static void write() throws IOException {
    outliers = OutlierModel.write(FoldingTest.sample(), temporary.resolve("outliers"));
  }

  @Test
  void computesTheSameLogitsToTheBit() throws IOException {
    List<int[]> sequences = FoldingTest.sequences(96, 1536);
    for (String kernels : List.of("scalar", "auto")) {
      assertThat(Logits.of(outliers, sequences, kernels).values())
          .isEqualTo(Logits.of(FoldingTest.sample(), sequences, kernels).values());
    }
  }

  @Test
  void keepsTypesAndShapes() throws IOException {
    List<Weight> own = weights(FoldingTest.sample());
    List<Weight> made = weights(outliers);
    assertThat(made).hasSameSizeAs(own);
    for (int i = 0; i < own.size(); i++) {
      assertThat(made.get(i).name()).isEqualTo(own.get(i).name());
      assertThat(made.get(i).encoding()).isEqualTo(own.get(i).encoding());
      assertThat(made.get(i).shape()).isEqualTo(own.get(i).shape());
    }
  }

  private static List<Weight> weights(Path model) throws IOException {
    try (ModelSource source = ModelSources.open(model)) {
      return Checkpoint.open(source).weights();
    }
  }

  @Test
  void everyNormHasAFewLargeGainsAndTheRouterUndoesThem() throws IOException {
    Folding folding = OutlierModel.outliers(FoldingTest.sample());
    int norms = 0;
    for (Weight weight : weights(FoldingTest.sample())) {
      boolean layer = weight.role().layer().orElse(4) < 4;
      if (layer && weight.name().endsWith("norm.weight")) {
        float[] factors = folding.columnFactors(weight).orElseThrow();
        assertThat(count(factors, 32) + count(factors, 64) + count(factors, 128))
            .isEqualTo(factors.length / 64);
        assertThat(count(factors, 1)).isEqualTo(factors.length - factors.length / 64);
        norms++;
      }
      if (layer && weight.name().endsWith("mlp.gate.weight")) {
        float[] factors = folding.columnFactors(weight).orElseThrow();
        assertThat(count(factors, 1 / 32f) + count(factors, 1 / 64f) + count(factors, 1 / 128f))
            .isEqualTo(factors.length / 64);
      }
    }
    assertThat(norms).isEqualTo(4 * 4);
  }

  private static long count(float[] factors, float wanted) {
    long count = 0;
    for (float factor : factors) {
      count += factor == wanted ? 1 : 0;
    }
    return count;
  }
}
