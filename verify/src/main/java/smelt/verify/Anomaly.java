package smelt.verify;

import smelt.formats.Shape;
import smelt.formats.checkpoint.SourceTensor;

/// Values of one kind that a tensor should not hold.
///
/// @param count how many there are
/// @param first index of the first, in C order
/// @param example the first value
record Anomaly(Kind kind, SourceTensor tensor, long count, long first, String example) {

  enum Kind {
    SCALE_NOT_FINITE,
    SCALE_NOT_POSITIVE,
    SCALE_SUBNORMAL,
    SCALE_NOT_POWER_OF_TWO,
    VALUE_NOT_FINITE,
    INT8_MINIMUM,
    /// A word of packed codes of which one is the least.
    INT4_MINIMUM,
    OFFSET_NOT_ZERO
  }

  /// What was found, such as `3 of 4096 values, the first (NaN) at [1, 2]`.
  String found() {
    return count
        + " of "
        + tensor.shape().elements()
        + " values, the first ("
        + example
        + ") at "
        + place();
  }

  private String place() {
    long[] index = new long[tensor.shape().rank()];
    long rest = first;
    for (int axis = index.length - 1; axis >= 0; axis--) {
      index[axis] = rest % tensor.shape().dim(axis);
      rest /= tensor.shape().dim(axis);
    }
    long offset = tensor.offset() + first * tensor.type().bits() / 8;
    return Shape.of(index) + ", byte " + offset + " of the file";
  }
}
