package smelt.formats.codec;

import java.util.Optional;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.formats.gguf.GgmlType;

/// How a weight's numbers lie in bytes: a tensor of codes, and for the quantized forms a tensor of
/// decode scales. In every form `value = code x decode scale`, but in blocks of GGUF, which may add
/// a minimum.
///
/// | form | codes | scales |
/// |---|---|---|
/// | `Plain` | any shape | none |
/// | `Block` | `[rows, cols]` | `[ceil(rows / blockRows), ceil(cols / blockCols)]` |
/// | `Channel` | `[rows, cols]` | `[rows, 1]` |
/// | `Int4` | I32 `[rows, cols / 8]` | `[rows, cols / group]` |
/// | `Ggml` | U8 `[rows, bytes of a row]` | none: they lie in the blocks |
public sealed interface Encoding {

  /// Element type of the tensor that holds the codes.
  ElementType type();

  /// Shape of the scale tensor for a weight of this shape; empty where there is none.
  Optional<Shape> scaleShape(Shape weight);

  /// Element type of the scales; empty where there are none.
  Optional<ElementType> scales();

  /// Shape of the tensor of codes for a weight of this shape.
  default Shape codeShape(Shape weight) {
    return weight;
  }

  /// Shape of the weight whose tensor of codes has this shape: the reverse of `codeShape`.
  default Shape weightShape(Shape codes) {
    return codes;
  }

  /// Bytes of the codes of as many values, the first of which begins a byte.
  default long codeBytes(long values) {
    return type().bytes(values);
  }

  /// Numbers as they are: BF16, F16, F32, or any other type that is only copied.
  record Plain(ElementType type) implements Encoding {
    @Override
    public Optional<Shape> scaleShape(Shape weight) {
      return Optional.empty();
    }

    @Override
    public Optional<ElementType> scales() {
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
    public Optional<Shape> scaleShape(Shape weight) {
      return Optional.of(
          Shape.of(
              Math.ceilDiv(weight.dim(0), (long) blockRows),
              Math.ceilDiv(weight.dim(1), (long) blockCols)));
    }

    @Override
    public Optional<ElementType> scales() {
      return Optional.of(scaleType);
    }
  }

  /// One scale for each row (output channel).
  ///
  /// @param scaleType element type of the stored scales: F32 or BF16
  record Channel(ElementType type, ElementType scaleType) implements Encoding {
    @Override
    public Optional<Shape> scaleShape(Shape weight) {
      return Optional.of(Shape.of(weight.dim(0), 1));
    }

    @Override
    public Optional<ElementType> scales() {
      return Optional.of(scaleType);
    }
  }

  /// Codes of four bits, one scale for each `group` of them in a row: compressed-tensors'
  /// `pack-quantized`, symmetric, in the order of the columns.
  ///
  /// A code from -8 to 7 is stored as `code + 8`, eight to an I32, the first in its lowest bits. As
  /// I32 are little-endian, byte `i` of a row holds the codes of columns `2 i` (low half) and `2 i
  /// + 1` (high half).
  ///
  /// @param group codes that share a scale: a multiple of 8, and a divisor of the columns
  /// @param scaleType element type of the stored scales: BF16, F16 or F32
  /// @param least the least code that may occur: -8, or -7 for kernels that multiply wrongly by -8
  record Int4(int group, ElementType scaleType, int least) implements Encoding {

    /// Codes in an I32.
    public static final int PER_WORD = 8;

    public Int4 {
      if (group < PER_WORD || group % PER_WORD != 0) {
        throw new IllegalArgumentException("groups of " + group + " codes");
      }
      if (least != -8 && least != -7) {
        throw new IllegalArgumentException("codes from " + least);
      }
    }

    @Override
    public ElementType type() {
      return ElementType.I32;
    }

    @Override
    public Optional<Shape> scaleShape(Shape weight) {
      return Optional.of(Shape.of(weight.dim(0), exactly(weight.dim(1), group)));
    }

    @Override
    public Optional<ElementType> scales() {
      return Optional.of(scaleType);
    }

    @Override
    public Shape codeShape(Shape weight) {
      return Shape.of(weight.dim(0), exactly(weight.dim(1), PER_WORD));
    }

    @Override
    public Shape weightShape(Shape codes) {
      return Shape.of(codes.dim(0), Math.multiplyExact(codes.dim(1), (long) PER_WORD));
    }

    /// @param values even
    @Override
    public long codeBytes(long values) {
      return exactly(values, 2);
    }

    private static long exactly(long count, int part) {
      if (count % part != 0) {
        throw new IllegalArgumentException(count + " codes in parts of " + part);
      }
      return count / part;
    }
  }

  /// Rows in blocks of GGUF, as [smelt.formats.gguf.BlockDecoder] reads them: codes and their
  /// scales together.
  ///
  /// @param blocks a type that has blocks; plain numbers of GGUF are `Plain`
  record Ggml(GgmlType blocks) implements Encoding {
    public Ggml {
      if (!blocks.isQuantized()) {
        throw new IllegalArgumentException(blocks + " has no blocks");
      }
      if (blocks.interleavedRows() > 1) {
        throw new IllegalArgumentException("rows of " + blocks + " do not stand alone");
      }
    }

    @Override
    public ElementType type() {
      return ElementType.U8;
    }

    @Override
    public Optional<Shape> scaleShape(Shape weight) {
      return Optional.empty();
    }

    @Override
    public Optional<ElementType> scales() {
      return Optional.empty();
    }

    @Override
    public Shape codeShape(Shape weight) {
      return Shape.of(weight.dim(0), blocks.bytes(weight.dim(1)));
    }

    @Override
    public Shape weightShape(Shape codes) {
      long blocksOfRow = codes.dim(1) / blocks.blockBytes();
      return Shape.of(codes.dim(0), Math.multiplyExact(blocksOfRow, blocks.blockElements()));
    }

    /// @param values whole blocks
    @Override
    public long codeBytes(long values) {
      return blocks.bytes(values);
    }
  }

  /// DeepSeek's own form: E4M3 codes, F32 decode scales (`weight_scale_inv`) per 128 x 128 block.
  static Encoding fp8Block(ScaleFormat scaleFormat) {
    return new Block(ElementType.F8_E4M3, 128, 128, ElementType.F32, scaleFormat);
  }
}
