package smelt.calibrate.model;

import java.io.IOException;
import java.util.List;
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
  void attention(int layer, AttentionPart part, Matrix x, Matrix out, LayerOptions options)
      throws IOException {
    attention(layer, List.of(part), x, List.of(out), options);
  }

  /// The same for linears that read one input.
  void attention(
      int layer, List<AttentionPart> own, Matrix x, List<Matrix> outs, LayerOptions options)
      throws IOException {
    List<Weight> linear = own.stream().map(part -> weights.attention(layer, part)).toList();
    linears.multiply(linear, x, outs, options);
    for (int i = 0; i < own.size(); i++) {
      Optional<Weight> bias = weights.attentionBias(layer, own.get(i));
      if (bias.isPresent() && !isAdded(options.activations().of(linear.get(i)))) {
        compute.addRow(linears.vector(bias.get()), outs.get(i));
      }
    }
  }

  /// Whether the runtime's product has the bias in it.
  private static boolean isAdded(ActivationScheme scheme) {
    return scheme instanceof ActivationScheme.IntegerSums;
  }
}
