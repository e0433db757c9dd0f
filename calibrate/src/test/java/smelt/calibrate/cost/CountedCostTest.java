package smelt.calibrate.cost;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.CountedKernels;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.LayerOptions;
import smelt.calibrate.model.ModelSpec;
import smelt.calibrate.model.ReferenceModel;
import smelt.calibrate.model.TokenBatch;
import smelt.formats.Checkout;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.codec.KernelSet;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// What the config says of operations is what the products of a run do, to the last one.
class CountedCostTest {

  private static final int[] LENGTHS = {9, 1, 21};

  @ParameterizedTest
  @ValueSource(
      strings = {
        "samples/tiny-deepseek-v3",
        "samples/tiny-deepseek-v3-fp8",
        "calibrate/src/test/resources/models/deepseek-v2-lite/model",
        "calibrate/src/test/resources/models/deepseek-v2/model",
        "calibrate/src/test/resources/models/deepseek-v3.2/model",
        "calibrate/src/test/resources/models/qwen3-moe/model",
        "calibrate/src/test/resources/models/qwen3-moe-sparse-step/model",
        "calibrate/src/test/resources/models/qwen2/model",
        "calibrate/src/test/resources/models/llama/model",
        "calibrate/src/test/resources/models/mixtral/model"
      })
  void isWhatARunDoes(String model) throws IOException {
    CountedKernels counted = new CountedKernels();
    Path folder = Checkout.root().resolve(model);
    try (ModelSource source = ModelSources.open(folder);
        Compute compute = Compute.steady(counted, KernelSet.choose("scalar"), 2);
        Arena arena = Arena.ofShared()) {
      Checkpoint checkpoint = Checkpoint.open(source);
      long scratch = ReferenceModel.leastScratch(checkpoint, 21) * 2;
      try (ReferenceModel run = ReferenceModel.open(checkpoint, source, compute, scratch)) {
        forward(run, arena);
        CostModel cost = CostModel.of(run.spec());
        long expected = cost.forward(Arrays.stream(LENGTHS).asLongStream());
        assertThat(counted.flops()).isEqualTo(expected).isPositive();
      }
    }
  }

  private static void forward(ReferenceModel run, Arena arena) throws IOException {
    ModelSpec spec = run.spec();
    Random random = new Random(1);
    List<int[]> texts =
        Arrays.stream(LENGTHS)
            .mapToObj(n -> random.ints(n, 0, spec.vocabulary()).toArray())
            .toList();
    TokenBatch batch = TokenBatch.of(arena, texts, spec.hidden());
    run.embed(batch);
    for (int layer = 0; layer < spec.layerCount(); layer++) {
      run.layer(layer, batch, LayerOptions.PLAIN);
    }
    run.norm(batch);
    Matrix logits = Matrix.zeros(arena, batch.tokens(), spec.vocabulary());
    run.logits(batch.hidden(), 0, spec.vocabulary(), LayerOptions.PLAIN, logits);
  }
}
