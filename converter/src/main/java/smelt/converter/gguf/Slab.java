package smelt.converter.gguf;

import smelt.formats.checkpoint.Weight;

/// Consecutive rows of a weight that become consecutive data of a tensor. A vector is one row.
///
/// @param order where the numbers of the rows go
public record Slab(Weight weight, long firstRow, long rows, Order order) {

  /// How the numbers of a slab lie in the tensor.
  public enum Order {
    /// As in the weight.
    PLAIN,
    /// The rows become columns.
    TRANSPOSED,
    /// Rows of the first and the second half by turns: row `i` becomes row `2 i`, row `i + rows /
    /// 2` row `2 i + 1`. So the pairs that are rotated together come to lie side by side.
    HALVES_BY_TURNS
  }

  static Slab whole(Weight weight) {
    return new Slab(weight, 0, rows(weight), Order.PLAIN);
  }

  static long rows(Weight weight) {
    return weight.shape().rank() == 2 ? weight.shape().dim(0) : 1;
  }

  /// Elements of a row of the weight.
  public long cols() {
    return weight.shape().dim(weight.shape().rank() - 1);
  }

  /// Elements of a row of the tensor.
  public long rowElements() {
    return order == Order.TRANSPOSED ? rows : cols();
  }

  /// Rows of the tensor.
  public long tensorRows() {
    return order == Order.TRANSPOSED ? cols() : rows;
  }
}
