package smelt.formats.gguf;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.List;

/// One tensor of a GGUF file.
///
/// @param dims elements per dimension, the contiguous one first: a matrix of `[rows, cols]` has the
///   dims `cols, rows`, a stack of experts `cols, rows, experts`
/// @param offset first byte, relative to the data section
public record GgufTensor(String name, GgmlType type, List<Long> dims, long offset) {

  /// Dimensions that ggml has room for.
  public static final int MAX_DIMS = 4;

  /// Bytes of a name that ggml has room for.
  public static final int MAX_NAME_BYTES = 63;

  public GgufTensor {
    dims = List.copyOf(dims);
    int nameBytes = name.getBytes(UTF_8).length;
    if (nameBytes == 0 || nameBytes > MAX_NAME_BYTES) {
      throw new IllegalArgumentException(
          "a name of " + nameBytes + " bytes, not from 1 to " + MAX_NAME_BYTES + ": " + name);
    }
    if (dims.isEmpty() || dims.size() > MAX_DIMS) {
      throw new IllegalArgumentException(name + " has " + dims.size() + " dimensions");
    }
    if (dims.stream().anyMatch(dim -> dim < 1)) {
      throw new IllegalArgumentException(name + " has the dimensions " + dims);
    }
    if (offset < 0) {
      throw new IllegalArgumentException(name + " at " + offset);
    }
    bytes(type, dims);
  }

  /// Bytes of the data, without the padding behind it.
  public long bytes() {
    return bytes(type, dims);
  }

  /// Bytes of a row: of the elements of the contiguous dimension.
  public long rowBytes() {
    return type.bytes(dims.getFirst());
  }

  /// Rows of all other dimensions together.
  public long rows() {
    return dims.stream().skip(1).reduce(1L, Math::multiplyExact);
  }

  /// Bytes of a tensor.
  ///
  /// @throws ArithmeticException on overflow, also of the number of elements, when rows do not fill
  ///   blocks, and when the rows of a matrix are no whole groups of those that are interleaved
  static long bytes(GgmlType type, List<Long> dims) {
    long rows = dims.size() < 2 ? 1 : dims.get(1);
    if (rows % type.interleavedRows() != 0) {
      throw new ArithmeticException(
          rows + " rows are no groups of " + type.interleavedRows() + " of " + type);
    }
    long elements = dims.stream().reduce(1L, Math::multiplyExact);
    long row = type.bytes(dims.getFirst());
    return Math.multiplyExact(row, elements / dims.getFirst());
  }
}
