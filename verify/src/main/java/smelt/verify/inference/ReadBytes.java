package smelt.verify.inference;

import smelt.calibrate.model.ModelSpec;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;
import smelt.verify.tensors.TensorComparison;

/// Bytes that a verification is announced to read.
///
/// @param compared by the tensor check
/// @param round of both models in a round
record ReadBytes(long compared, long round) {

  static ReadBytes of(Checkpoint source, Checkpoint result) {
    return new ReadBytes(
        TensorComparison.bytes(source, result), Math.addExact(used(source), used(result)));
  }

  long all(int rounds) {
    return Math.addExact(compared, Math.multiplyExact(rounds, round));
  }

  /// Bytes of the weights that inference reads: those of MTP layers it does not. Of the embedding
  /// it reads some rows only.
  private static long used(Checkpoint model) {
    ModelSpec spec = ModelSpec.of(model);
    return model.weights().stream()
        .filter(weight -> weight.role().layer().orElse(0) < spec.layerCount())
        .filter(weight -> spec.tiedHead() || !(weight.role() instanceof TensorRole.Embedding))
        .mapToLong(Weight::bytes)
        .reduce(0, Math::addExact);
  }
}
