package smelt.formats.checkpoint;

import java.util.Optional;
import smelt.formats.Shape;
import smelt.formats.codec.Encoding;

/// One tensor of the model as the model means it: its codes, and joined with them the decode scales
/// that may lie in another shard.
///
/// @param name the model's name of it, such as `...q_a_proj.weight`; the codes are under this name
///   too, or packed under `...q_a_proj.weight_packed`
/// @param codes the stored numbers or codes
/// @param scale the decode scales, for the encodings that have them
public record Weight(
    String name,
    TensorRole role,
    Encoding encoding,
    SourceTensor codes,
    Optional<SourceTensor> scale) {

  /// The shape of its numbers, however they are packed.
  public Shape shape() {
    return encoding.weightShape(codes.shape());
  }

  /// Bytes of codes and scales in the source.
  public long bytes() {
    return codes.bytes() + scale.map(SourceTensor::bytes).orElse(0L);
  }
}
