package smelt.formats.checkpoint;

import java.util.List;
import java.util.Optional;
import smelt.formats.ElementType;
import smelt.formats.Problem;
import smelt.formats.Shape;
import smelt.formats.UnsupportedException;
import smelt.formats.codec.Encoding;

/// Finds the encoding of a weight that compressed-tensors packed (`pack-quantized`, four bits). The
/// size of its groups follows from the shapes.
final class Int4Weights {

  private static final int LEAST = -8;

  private Int4Weights() {}

  /// The shape of the weight whose packed codes these are.
  ///
  /// @throws UnsupportedException unless they are eight to an I32
  static Shape shape(SourceTensor codes) {
    if (codes.type() != ElementType.I32 || codes.shape().rank() != 2) {
      throw new UnsupportedException(
          "packed weights of type "
              + codes.type()
              + " and shape "
              + codes.shape()
              + " ("
              + codes.file()
              + ": "
              + codes.name()
              + ")",
          "weights that are read are " + Encodings.READ);
    }
    Shape words = codes.shape();
    return Shape.of(words.dim(0), Math.multiplyExact(words.dim(1), (long) Encoding.Int4.PER_WORD));
  }

  static Optional<Encoding> encoding(CodesAndScale pair, List<Problem> problems) {
    Shape shape = shape(pair.codes());
    if (pair.scale().isEmpty()) {
      problems.add(
          new Problem(
              pair.codes().file() + ": " + pair.codes().name(),
              "packed codes without a scale",
              pair.name() + CodesAndScale.SCALE,
              "download the shard that holds the scale; without it the numbers mean nothing"));
      return Optional.empty();
    }
    SourceTensor scale = pair.scale().get();
    Optional<Encoding> encoding = encoding(shape, scale);
    if (encoding.isEmpty()) {
      problems.add(
          new Problem(
              scale.file() + ": " + scale.name(),
              "scales of type " + scale.type() + " and shape " + scale.shape(),
              "BF16, F16 or F32 of shape ["
                  + shape.dim(0)
                  + ", groups], where the groups divide "
                  + shape.dim(1)
                  + " columns into multiples of 8",
              Encodings.REPAIR));
    }
    return encoding;
  }

  private static Optional<Encoding> encoding(Shape shape, SourceTensor scale) {
    boolean floats =
        switch (scale.type()) {
          case BF16, F16, F32 -> true;
          default -> false;
        };
    Shape groups = scale.shape();
    if (!floats || groups.rank() != 2 || groups.dim(0) != shape.dim(0) || groups.dim(1) == 0) {
      return Optional.empty();
    }
    long group = shape.dim(1) / groups.dim(1);
    boolean whole = group * groups.dim(1) == shape.dim(1) && group > 0;
    return whole && group % Encoding.Int4.PER_WORD == 0
        ? Optional.of(new Encoding.Int4(Math.toIntExact(group), scale.type(), LEAST))
        : Optional.empty();
  }
}
