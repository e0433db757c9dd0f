package smelt.formats;

import java.util.List;
import java.util.stream.Collectors;

/// A tensor's dimensions, outermost first (C order). Rank 0 is a scalar of one element.
public record Shape(List<Long> dims) {

  public Shape {
    dims = List.copyOf(dims);
    for (long dim : dims) {
      if (dim < 0) {
        throw new IllegalArgumentException("negative dimension in shape " + dims);
      }
    }
  }

  public static Shape of(long... dims) {
    return new Shape(java.util.Arrays.stream(dims).boxed().toList());
  }

  public int rank() {
    return dims.size();
  }

  public long dim(int axis) {
    return dims.get(axis);
  }

  /// Number of elements.
  ///
  /// @throws ArithmeticException if the product overflows a long
  public long elements() {
    long product = 1;
    for (long dim : dims) {
      product = Math.multiplyExact(product, dim);
    }
    return product;
  }

  /// Bytes of a tensor of this shape.
  ///
  /// @throws ArithmeticException on overflow, or when a packed type does not fill whole bytes
  public long bytes(ElementType type) {
    return type.bytes(elements());
  }

  /// The dimensions as `[rows, cols]`, as in a safetensors header.
  @Override
  public String toString() {
    return dims.stream().map(String::valueOf).collect(Collectors.joining(", ", "[", "]"));
  }
}
