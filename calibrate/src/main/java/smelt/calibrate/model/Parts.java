package smelt.calibrate.model;

import java.io.IOException;
import java.util.Optional;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.Matrix;
import smelt.formats.checkpoint.TensorRole.AttentionPart;
import smelt.formats.checkpoint.Weight;

/// What every block works with.
record Parts(
    ModelSpec spec, ModelWeights weights, Linears linears, Compute compute, Scratch scratch) {

  /// A linear of attention, with its bias if it has one. The bias stays in scratch memory: the
  /// caller releases it.
  void attention(int layer, AttentionPart part, Matrix x, Matrix out, Activations activations)
      throws IOException {
    linears.multiply(weights.attention(layer, part), x, out, activations);
    Optional<Weight> bias = weights.attentionBias(layer, part);
    if (bias.isPresent()) {
      compute.addRow(linears.vector(bias.get()), out);
    }
  }
}
