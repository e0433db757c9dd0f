package smelt.converter.run;

import smelt.converter.plan.Job;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;

/// How a weight is cut into tiles of whole rows. A tile begins at a multiple of every block height,
/// so the blocks of a tile are blocks of the weight.
///
/// @param rows rows of the weight; 1 for a vector
/// @param cols elements of a row
/// @param tileRows rows of a tile; the last tile may have fewer
record TileShape(long rows, long cols, long tileRows) {

  /// Block height of all output encodings.
  private static final long BLOCK_ROWS = 128;

  /// @param tileBytes aim for the bytes of a tile's source codes; a tile has at least one row of
  ///   blocks, whatever that takes, and as many rows as an output handles together
  static TileShape of(Job job, long tileBytes) {
    Weight weight = job.weight();
    Shape shape = weight.shape();
    long rows = shape.rank() >= 2 ? shape.dim(0) : 1;
    long cols = rows == 0 ? 0 : shape.elements() / rows;
    long step =
        weight.encoding() instanceof Encoding.Block block
            ? leastCommonMultiple(BLOCK_ROWS, block.blockRows())
            : BLOCK_ROWS;
    for (Job.Output output : job.outputs()) {
      step =
          switch (output) {
            case Job.Output.Tensor _ -> step;
            case Job.Output.Blocks blocks -> leastCommonMultiple(step, blocks.rowStep());
            case Job.Output.Experts _ -> Math.max(step, rows);
          };
    }
    long rowBytes = Math.max(1, weight.encoding().codeBytes(cols));
    long tileRows = Math.max(step, tileBytes / rowBytes / step * step);
    return new TileShape(rows, cols, Math.min(tileRows, Math.max(rows, 1)));
  }

  long tiles() {
    return Math.ceilDiv(rows, tileRows);
  }

  /// Rows of the tile that begins at `row`.
  long rowsAt(long row) {
    return Math.min(tileRows, rows - row);
  }

  /// Bytes of `count` elements.
  static long bytes(ElementType type, long count) {
    return Math.ceilDiv(Math.multiplyExact(count, (long) type.bits()), 8L);
  }

  /// First row of the scale tensor for a tile that begins at `row`, and one past the last for its
  /// end.
  static long scaleRow(Encoding encoding, long row) {
    return encoding instanceof Encoding.Block block
        ? Math.ceilDiv(row, (long) block.blockRows())
        : row;
  }

  /// Bytes of one row of the scale tensor.
  static long scaleRowBytes(Encoding encoding, long cols, ElementType scaleType) {
    long scales =
        switch (encoding) {
          case Encoding.Plain _, Encoding.Channel _, Encoding.Ggml _ -> 1;
          case Encoding.Block block -> Math.ceilDiv(cols, (long) block.blockCols());
          case Encoding.Int4 int4 -> cols / int4.group();
        };
    return bytes(scaleType, scales);
  }

  private static long leastCommonMultiple(long a, long b) {
    long x = a;
    long y = b;
    while (y != 0) {
      long rest = x % y;
      x = y;
      y = rest;
    }
    return Math.multiplyExact(a / x, b);
  }
}
