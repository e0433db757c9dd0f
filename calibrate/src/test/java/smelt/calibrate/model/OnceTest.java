package smelt.calibrate.model;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.calibrate.math.Matrix;
import smelt.formats.Checkout;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.KernelSet;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// Layers that are run with each weight read once.
class OnceTest {

  private static final int LENGTH = 24;
  private static final int SEQUENCES = 7;

  static Stream<Path> models() throws IOException {
    Path samples = Checkout.root().resolve("samples");
    List<Path> models = new ArrayList<>();
    models.add(samples.resolve("tiny-deepseek-v3"));
    models.add(samples.resolve("tiny-deepseek-v3-fp8"));
    for (String name : Planted.NAMES) {
      models.add(Planted.of(name).model());
    }
    return models.stream();
  }

  @SuppressWarnings("ArrayRecordComponent")
  private record Ran(float[][] hidden, List<Routing> routings, long bytesRead, long usedBytes) {}

  /// @param once tokens at a time, or 0 to run layers as always
  private static Ran run(Path folder, long once) throws IOException {
    try (ModelSource source = ModelSources.open(folder);
        Compute compute =
            Compute.steady(MathKernelSet.choose("auto"), KernelSet.choose("auto"), 2);
        Arena arena = Arena.ofShared()) {
      Checkpoint checkpoint = Checkpoint.open(source);
      ModelSpec spec = ModelSpec.of(checkpoint);
      Random random = new Random(5);
      List<int[]> sequences = new ArrayList<>();
      for (int s = 0; s < SEQUENCES; s++) {
        sequences.add(random.ints(LENGTH - s, 0, 48).toArray());
      }
      TokenBatch batch = TokenBatch.of(arena, sequences, spec.hidden());
      Matrix sum = Matrix.zeros(arena, batch.tokens(), spec.hidden());
      long scratch = once == 0 ? 64L << 20 : ReferenceModel.onceScratch(checkpoint, once, LENGTH);
      List<Routing> routings = new ArrayList<>();
      try (ReferenceModel model = ReferenceModel.open(checkpoint, source, compute, scratch)) {
        model.embed(batch);
        long embedded = model.bytesRead();
        for (int layer = 0; layer < spec.layerCount(); layer++) {
          (once == 0
                  ? model.layer(layer, batch, LayerOptions.PLAIN)
                  : model.layerOnce(layer, batch, sum, LayerOptions.PLAIN))
              .ifPresent(routings::add);
        }
        long all = 0;
        for (Weight weight : checkpoint.weights()) {
          boolean inLayer = weight.role().layer().orElse(Integer.MAX_VALUE) < spec.layerCount();
          boolean used = !(weight.role() instanceof TensorRole.Indexer);
          all += inLayer && used ? weight.bytes() : 0;
        }
        return new Ran(SampleRun.copy(batch.hidden()), routings, model.bytesRead() - embedded, all);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("models")
  void givesTheSameAndReadsEachWeightOnceWhateverTheMemory(Path folder) throws IOException {
    Ran usual = run(folder, 0);
    for (long atOnce : List.of(200L, 30L, 5L)) {
      Ran once = run(folder, atOnce);
      assertThat(once.hidden()).as("%d at once", atOnce).isDeepEqualTo(usual.hidden());
      assertThat(once.bytesRead()).isLessThanOrEqualTo(once.usedBytes());
      assertThat(once.bytesRead()).isGreaterThan(once.usedBytes() / 2);
      for (int layer = 0; layer < usual.routings().size(); layer++) {
        for (long token = 0; token < usual.routings().get(layer).tokens(); token++) {
          assertThat(once.routings().get(layer).expert(token, 0))
              .isEqualTo(usual.routings().get(layer).expert(token, 0));
        }
      }
    }
  }
}
