package smelt.calibrate.outlier;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.calibrate.model.EditableModel;
import smelt.calibrate.model.LayerOptions;
import smelt.calibrate.model.ReferenceModel;
import smelt.calibrate.model.TokenBatch;
import smelt.formats.Checkout;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Projection;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.KernelSet;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

class OutliersTest {

  private record Found(Outliers outliers, List<Weight> weights) {}

  private static Path sample(String name) {
    return Checkout.root().resolve("samples").resolve(name);
  }

  private static Found find(Path folder) throws IOException {
    OutlierObserver observer = new OutlierObserver();
    Random random = new Random(3);
    List<int[]> texts =
        List.of(random.ints(150, 2, 1536).toArray(), random.ints(106, 2, 1536).toArray());
    try (ModelSource source = ModelSources.open(folder);
        Compute compute = new Compute(MathKernelSet.choose("auto"), KernelSet.choose("auto"), 2);
        Arena arena = Arena.ofShared()) {
      Checkpoint checkpoint = Checkpoint.open(source);
      // Too little to take all tokens at once: what is found does not depend on that.
      long scratch = ReferenceModel.leastScratch(checkpoint, 150);
      try (ReferenceModel model = ReferenceModel.open(checkpoint, source, compute, scratch)) {
        TokenBatch batch = TokenBatch.of(arena, texts, model.spec().hidden());
        model.embed(batch);
        for (int layer = 0; layer < model.spec().layerCount(); layer++) {
          model.layer(layer, batch, LayerOptions.observed(observer));
        }
      }
      return new Found(observer.outliers(), checkpoint.weights());
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"tiny-deepseek-v3", "tiny-deepseek-v3-fp8"})
  void findsNoneInAnOrdinaryModel(String name) throws IOException {
    Outliers found = find(sample(name)).outliers();
    assertThat(found.weights()).isEmpty();
    assertThat(found.experts()).isEmpty();
    // 1 dense, 3 shared, and all 48 routed ones that were chosen.
    assertThat(found.downs()).isBetween(45, 52);
  }

  @Test
  void findsBothOfWhatWasPlantedAndNothingElse(@TempDir Path folder) throws IOException {
    Found found = find(PlantedOutliers.copy(sample("tiny-deepseek-v3"), folder));
    assertThat(found.outliers().weights())
        .singleElement()
        .satisfies(weight -> {
          assertThat(weight.down().role()).isEqualTo(new TensorRole.DenseMlp(0, Projection.DOWN));
          assertThat(weight.row()).isEqualTo(PlantedOutliers.ROW);
          assertThat(weight.col()).isEqualTo(PlantedOutliers.COL);
          assertThat(weight.line())
              .startsWith("super weight model.layers.0.mlp.down_proj.weight[7, 11]: ");
        });
    assertThat(found.outliers().experts())
        .singleElement()
        .satisfies(expert -> {
          assertThat(expert.layer()).isEqualTo(PlantedOutliers.LAYER);
          assertThat(expert.expert()).isEqualTo(PlantedOutliers.EXPERT);
          assertThat(expert.line()).startsWith("super expert: layer 2, expert 5, ");
        });
    assertThat(found.outliers().names(found.weights()))
        .hasSize(4)
        .contains(
            "model.layers.0.mlp.down_proj.weight", "model.layers.2.mlp.experts.5.gate_proj.weight");
    assertThat(4.0 / found.weights().size()).isLessThan(0.02);
  }

  @Test
  void findsEachAlone(@TempDir Path one, @TempDir Path other) throws IOException {
    PlantedOutliers.plantWeight(EditableModel.copy(sample("tiny-deepseek-v3"), one));
    PlantedOutliers.plantExpert(EditableModel.copy(sample("tiny-deepseek-v3"), other));
    assertThat(find(one).outliers().weights()).hasSize(1);
    assertThat(find(one).outliers().experts()).isEmpty();
    assertThat(find(other).outliers().weights()).isEmpty();
    assertThat(find(other).outliers().experts()).hasSize(1);
  }
}
