package smelt.formats.codec;

import java.util.Optional;
import smelt.formats.ElementType;
import smelt.formats.Shape;

/// How a weight's numbers lie in bytes: a tensor of codes, and for the quantized forms a tensor of
/// decode scales. In every form `value = code x decode scale`.
///
/// | form | codes | scales |
/// |---|---|---|
/// | `Plain` | any shape | none |
/// | `Block` | `[rows, cols]` | `[ceil(rows / blockRows), ceil(cols / blockCols)]` |
/// | `Channel` | `[rows, cols]` | `[rows, 1]` |
public sealed interface Encoding {

  /// Element type of the codes.
  ElementType type();

  /// Shape of the scale tensor for codes of this shape; empty where there is none.
  Optional<Shape> scaleShape(Shape codes);

  /// Numbers as they are: BF16, F16, F32, or any other type that is only copied.
  record Plain(ElementType type) implements Encoding {
    @Override
    public Optional<Shape> scaleShape(Shape codes) {
      return Optional.empty();
    }
  }

  /// One scale for each block of `blockRows` x `blockCols` codes; blocks at the edges are smaller.
  ///
  /// @param scaleType element type of the stored scales: F32 or BF16
  record Block(
      ElementType type,
      int blockRows,
      int blockCols,
      ElementType scaleType,
      ScaleFormat scaleFormat)
      implements Encoding {
    public Block {
      if (blockRows < 1 || blockCols < 1) {
        throw new IllegalArgumentException("block of " + blockRows + " x " + blockCols);
      }
    }

    @Override
    public Optional<Shape> scaleShape(Shape codes) {
      return Optional.of(
          Shape.of(
              Math.ceilDiv(codes.dim(0), (long) blockRows),
              Math.ceilDiv(codes.dim(1), (long) blockCols)));
    }
  }

  /// One scale for each row (output channel).
  ///
  /// @param scaleType element type of the stored scales: F32 or BF16
  record Channel(ElementType type, ElementType scaleType) implements Encoding {
    @Override
    public Optional<Shape> scaleShape(Shape codes) {
      return Optional.of(Shape.of(codes.dim(0), 1));
    }
  }

  /// DeepSeek's own form: E4M3 codes, F32 decode scales (`weight_scale_inv`) per 128 x 128 block.
  static Encoding fp8Block(ScaleFormat scaleFormat) {
    return new Block(ElementType.F8_E4M3, 128, 128, ElementType.F32, scaleFormat);
  }
}
