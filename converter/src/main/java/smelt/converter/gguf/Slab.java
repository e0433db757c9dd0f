package smelt.converter.gguf;

import smelt.formats.checkpoint.Weight;

/// Consecutive rows of a weight that become consecutive data of a tensor. A vector is one row.
///
/// @param transposed whether the rows become columns
record Slab(Weight weight, long firstRow, long rows, boolean transposed) {

  static Slab whole(Weight weight) {
    return new Slab(weight, 0, rows(weight), false);
  }

  static long rows(Weight weight) {
    return weight.shape().rank() == 2 ? weight.shape().dim(0) : 1;
  }

  /// Elements of a row of the weight.
  long cols() {
    return weight.shape().dim(weight.shape().rank() - 1);
  }

  /// Elements of a row of the tensor.
  long rowElements() {
    return transposed ? rows : cols();
  }
}
