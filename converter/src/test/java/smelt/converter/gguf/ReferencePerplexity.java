package smelt.converter.gguf;

import java.io.IOException;
import java.lang.foreign.Arena;
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

/// What the reference inference makes of the weights in a GGUF file, activations in F32.
final class ReferencePerplexity {

  private ReferencePerplexity() {}

  /// The sum of -ln p of all tokens but the first, for each window, as the engine's client gives
  /// it.
  ///
  /// @param base the model that the file was made from
  static double[] score(Path file, Path base, List<List<Integer>> windows) throws IOException {
    try (ModelSource model = ModelSources.open(base);
        ModelSource made = ModelSources.open(file);
        GgufCheckpoint gguf = GgufCheckpoint.open(made, model, Checkpoint.open(model));
        Compute compute =
            Compute.steady(MathKernelSet.choose("auto"), KernelSet.choose("auto"), 2)) {
      return score(gguf, compute, windows);
    }
  }

  private static double[] score(GgufCheckpoint gguf, Compute compute, List<List<Integer>> windows)
      throws IOException {
    List<int[]> inputs =
        windows.stream()
            .map(w -> w.stream().limit(w.size() - 1L).mapToInt(Integer::intValue).toArray())
            .toList();
    long tokens = inputs.stream().mapToLong(ids -> ids.length).sum();
    int longest = inputs.stream().mapToInt(ids -> ids.length).max().orElseThrow();
    Checkpoint checkpoint = gguf.checkpoint();
    long scratch = ReferenceModel.fullScratch(checkpoint, tokens, longest);
    try (Arena arena = Arena.ofShared();
        ReferenceModel model = ReferenceModel.open(checkpoint, gguf, compute, scratch)) {
      TokenBatch batch = TokenBatch.of(arena, inputs, model.spec().hidden());
      model.embed(batch);
      for (int layer = 0; layer < model.spec().layerCount(); layer++) {
        var _ = model.layer(layer, batch, LayerOptions.PLAIN);
      }
      model.norm(batch);
      Matrix logits = Matrix.zeros(arena, tokens, model.spec().vocabulary());
      model.logits(batch.hidden(), 0, model.spec().vocabulary(), LayerOptions.PLAIN, logits);
      double[] sums = new double[windows.size()];
      long row = 0;
      for (int w = 0; w < sums.length; w++) {
        for (int i = 1; i < windows.get(w).size(); i++) {
          sums[w] += loss(logits, row++, windows.get(w).get(i));
        }
      }
      return sums;
    }
  }

  /// -ln p of a token, in FP64.
  private static double loss(Matrix logits, long row, int token) {
    double largest = Double.NEGATIVE_INFINITY;
    for (long col = 0; col < logits.cols(); col++) {
      largest = Math.max(largest, logits.get(row, col));
    }
    double sum = 0;
    for (long col = 0; col < logits.cols(); col++) {
      sum += Math.exp(logits.get(row, col) - largest);
    }
    return largest + Math.log(sum) - logits.get(row, token);
  }
}
