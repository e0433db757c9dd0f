package smelt.formats.checkpoint;

import java.util.List;
import java.util.Optional;

/// A weight's codes, and the scales that were found under one of their names.
///
/// @param name the model's name of the weight; that of the codes, unless these are packed
record CodesAndScale(
    String name, TensorRole role, SourceTensor codes, Optional<SourceTensor> scale) {

  /// What compressed-tensors adds to a weight's name for its packed codes.
  static final String PACKED = "_packed";

  /// What it adds for the shape of the weight, which the config implies as well.
  static final String PACKED_SHAPE = "_shape";

  /// DeepSeek's ending for block scales, which multiply in spite of the name.
  static final String SCALE_INV = "_scale_inv";

  /// The ending of per-channel scales, and of compressed-tensors' block scales.
  static final String SCALE = "_scale";

  /// Endings of a scale's name behind that of its codes, the usual one first.
  static final List<String> SCALE_SUFFIXES = List.of(SCALE_INV, SCALE);

  boolean isPacked() {
    return !codes.name().equals(name);
  }

  boolean inverseNamed() {
    return scale.filter(s -> s.name().endsWith(SCALE_INV)).isPresent();
  }
}
