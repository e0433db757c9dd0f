package smelt.calibrate.sensitivity;

import java.util.Optional;
import java.util.function.Function;
import java.util.function.ToLongFunction;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;

/// What a target can make of a weight.
///
/// @param name such as `q4_k`
/// @param rounding the encoding through which a weight's numbers go; empty: they stay as they are
/// @param bytes of a weight in the target's files, with scales and alignment
public record Scheme(
    String name, Function<Weight, Optional<Encoding>> rounding, ToLongFunction<Weight> bytes) {

  /// Bytes of a part.
  public long bytes(ModelPart part) {
    return part.weights().stream().mapToLong(bytes).reduce(0, Math::addExact);
  }
}
