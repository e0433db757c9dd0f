package smelt.formats.checkpoint;

import java.util.Optional;
import smelt.formats.Shape;
import smelt.formats.codec.Encoding;

/// One tensor of the model as the model means it: its codes, and joined with them the decode scales
/// that may lie in another shard.
///
/// @param name the name of the tensor that holds the codes, such as `...q_a_proj.weight`
/// @param codes the stored numbers or codes
/// @param scale the decode scales, for the encodings that have them
public record Weight(
    String name,
    TensorRole role,
    Encoding encoding,
    SourceTensor codes,
    Optional<SourceTensor> scale) {

  public Shape shape() {
    return codes.shape();
  }

  /// Bytes of codes and scales in the source.
  public long bytes() {
    return codes.bytes() + scale.map(SourceTensor::bytes).orElse(0L);
  }
}
