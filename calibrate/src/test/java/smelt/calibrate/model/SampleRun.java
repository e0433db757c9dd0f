package smelt.calibrate.model;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.UnaryOperator;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.calibrate.math.Matrix;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.codec.KernelSet;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// A whole forward pass over a small model, with everything that can be looked at copied out.
///
/// @param layerHidden hidden states of all tokens: of the embedding, then behind each layer
/// @param routings of the layers that have experts, in order
/// @param logits of all tokens
@SuppressWarnings("ArrayRecordComponent")
record SampleRun(
    List<float[][]> layerHidden,
    float[][] finalHidden,
    List<Routing> routings,
    float[][] logits,
    long bytesRead) {

  /// What differs from an ordinary run.
  record Setup(
      String kernels, UnaryOperator<ModelSpec> change, LayerOptions options, long scratchBytes) {
    static final Setup PLAIN =
        new Setup("auto", UnaryOperator.identity(), LayerOptions.PLAIN, 64L << 20);

    Setup kernels(String name) {
      return new Setup(name, change, options, scratchBytes);
    }

    Setup change(UnaryOperator<ModelSpec> other) {
      return new Setup(kernels, other, options, scratchBytes);
    }

    Setup options(LayerOptions other) {
      return new Setup(kernels, change, other, scratchBytes);
    }

    Setup scratch(long bytes) {
      return new Setup(kernels, change, options, bytes);
    }
  }

  static SampleRun of(Path folder, List<int[]> sequences) throws IOException {
    return of(folder, sequences, Setup.PLAIN);
  }

  static SampleRun of(Path folder, List<int[]> sequences, Setup setup) throws IOException {
    try (ModelSource source = ModelSources.open(folder);
        Compute compute =
            new Compute(
                MathKernelSet.choose(setup.kernels()), KernelSet.choose(setup.kernels()), 2);
        Arena arena = Arena.ofShared()) {
      Checkpoint checkpoint = Checkpoint.open(source);
      ModelSpec spec = setup.change().apply(ModelSpec.of(checkpoint));
      try (ReferenceModel model =
          ReferenceModel.open(spec, checkpoint, source, compute, setup.scratchBytes())) {
        return run(model, TokenBatch.of(arena, sequences, spec.hidden()), setup, arena);
      }
    }
  }

  private static SampleRun run(ReferenceModel model, TokenBatch batch, Setup setup, Arena arena)
      throws IOException {
    List<float[][]> layers = new ArrayList<>();
    List<Routing> routings = new ArrayList<>();
    model.embed(batch);
    layers.add(copy(batch.hidden()));
    for (int layer = 0; layer < model.spec().layerCount(); layer++) {
      Optional<Routing> routing = model.layer(layer, batch, setup.options());
      routing.ifPresent(routings::add);
      layers.add(copy(batch.hidden()));
    }
    model.norm(batch);
    int vocabulary = model.spec().vocabulary();
    Matrix logits = Matrix.zeros(arena, batch.tokens(), vocabulary);
    long half = vocabulary / 2 + 1L;
    model.logits(batch.hidden(), 0, half, setup.options(), logits.columns(0, half));
    model.logits(
        batch.hidden(),
        half,
        vocabulary - half,
        setup.options(),
        logits.columns(half, vocabulary - half));
    return new SampleRun(layers, copy(batch.hidden()), routings, copy(logits), model.bytesRead());
  }

  static float[][] copy(Matrix matrix) {
    float[][] rows = new float[Math.toIntExact(matrix.rows())][];
    for (int i = 0; i < rows.length; i++) {
      rows[i] = new float[Math.toIntExact(matrix.cols())];
      java.lang.foreign.MemorySegment.copy(
          matrix.data(), Matrix.F32, matrix.at(i, 0), rows[i], 0, rows[i].length);
    }
    return rows;
  }
}
