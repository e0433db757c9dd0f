package smelt.converter.gguf;

import smelt.formats.checkpoint.Weight;

/// Consecutive rows of a weight that become consecutive data of a tensor. A vector is one row.
///
/// @param transposed whether the rows become columns
public record Slab(Weight weight, long firstRow, long rows, boolean transposed) {

  public static Slab whole(Weight weight) {
    return new Slab(weight, 0, rows(weight), false);
  }

  public static long rows(Weight weight) {
    return weight.shape().rank() == 2 ? weight.shape().dim(0) : 1;
  }

  /// Elements of a row of the weight.
  public long cols() {
    return weight.shape().dim(weight.shape().rank() - 1);
  }

  /// Elements of a row of the tensor.
  public long rowElements() {
    return transposed ? rows : cols();
  }
}
