package smelt.calibrate.smooth;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.LayerOptions;
import smelt.calibrate.model.ReferenceModel;
import smelt.calibrate.model.TokenBatch;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.codec.KernelSet;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// What the reference model gives for some sequences.
@SuppressWarnings("ArrayRecordComponent")
record Logits(float[] values) {

  static Logits of(Path model, List<int[]> sequences, String kernels) throws IOException {
    try (ModelSource source = ModelSources.open(model);
        Compute compute = new Compute(MathKernelSet.choose(kernels), KernelSet.choose(kernels), 2);
        Arena arena = Arena.ofShared()) {
      Checkpoint checkpoint = Checkpoint.open(source);
      int longest = sequences.stream().mapToInt(ids -> ids.length).max().orElseThrow();
      long tokens = sequences.stream().mapToLong(ids -> ids.length).sum();
      long scratch = ReferenceModel.fullScratch(checkpoint, tokens, longest);
      try (ReferenceModel reference = ReferenceModel.open(checkpoint, source, compute, scratch)) {
        return of(reference, sequences, arena);
      }
    }
  }

  private static Logits of(ReferenceModel model, List<int[]> sequences, Arena arena)
      throws IOException {
    TokenBatch batch = TokenBatch.of(arena, sequences, model.spec().hidden());
    model.embed(batch);
    for (int layer = 0; layer < model.spec().layerCount(); layer++) {
      model.layer(layer, batch, LayerOptions.PLAIN);
    }
    model.norm(batch);
    Matrix logits = Matrix.zeros(arena, batch.tokens(), model.spec().vocabulary());
    model.logits(batch.hidden(), 0, logits.cols(), LayerOptions.PLAIN, logits);
    float[] values = new float[Math.toIntExact(logits.rows() * logits.cols())];
    MemorySegment.copy(logits.data(), Matrix.F32, logits.offset(), values, 0, values.length);
    return new Logits(values);
  }

  /// The largest difference by the largest magnitude.
  double relative(Logits other) {
    double difference = 0;
    double largest = 0;
    for (int i = 0; i < values.length; i++) {
      difference = Math.max(difference, Math.abs(values[i] - other.values[i]));
      largest = Math.max(largest, Math.abs(values[i]));
    }
    return difference / largest;
  }
}
