package smelt.verify.tensors;

import smelt.formats.Shape;
import smelt.formats.codec.Encoding;

/// How a tensor is cut into pieces that are read and compared at once.
///
/// Where both sides are plain numbers without factors, rows mean nothing, and the tensor is one run
/// of elements, cut anywhere. Otherwise it is cut between rows. The cut depends on the tensor
/// alone, so sums over pieces do not depend on threads or memory.
///
/// @param rows rows of the tensor as it is cut; a run of elements has rows of one element
/// @param cols elements of a row
/// @param rowsPerPiece rows of every piece but the last
/// @param run whether it is a run of elements: then a tile of it is one row
record Cut(long rows, long cols, long rowsPerPiece, boolean run) {

  /// Elements of a piece, unless one row has more.
  static final long ELEMENTS = 1 << 20;

  /// @param touched whether rows and columns mean something, since they have factors
  static Cut of(Pairing.Pair pair, boolean touched) {
    Shape shape = pair.result().shape();
    boolean plain = isPlain(pair.source().encoding()) && isPlain(pair.result().encoding());
    if (plain && !(touched && shape.rank() == 2)) {
      return new Cut(shape.elements(), 1, ELEMENTS, true);
    }
    long cols = shape.dim(1);
    long rows = cols == 0 ? 0 : shape.dim(0);
    return new Cut(rows, cols, Math.max(1, ELEMENTS / Math.max(1, cols)), false);
  }

  private static boolean isPlain(Encoding encoding) {
    return encoding instanceof Encoding.Plain;
  }

  long pieces() {
    return Math.ceilDiv(rows, rowsPerPiece);
  }

  long firstRow(long piece) {
    return piece * rowsPerPiece;
  }

  long rows(long piece) {
    return Math.min(rowsPerPiece, rows - firstRow(piece));
  }

  /// Rows of a tile that holds so many rows.
  long tileRows(long rows) {
    return run ? 1 : rows;
  }

  long tileCols(long rows) {
    return run ? rows : cols;
  }

  /// Rows of the largest piece.
  long mostRows() {
    return Math.min(rowsPerPiece, rows);
  }
}
