package smelt.formats.codec;

import java.lang.foreign.MemorySegment;
import java.util.Objects;
import java.util.Optional;
import smelt.formats.ElementType;
import smelt.formats.Shape;

/// Whole rows of a tensor: where their codes and their decode scales lie in memory.
///
/// The codes are `rows` x `cols`, one row after the other. The scales are those rows of the scale
/// tensor that belong to these rows, so a tile of a block encoding starts at a row of its tensor
/// that is a multiple of `blockRows`. A tensor of any other rank is one row. Nothing is aligned.
///
/// @param codesOffset byte offset of the first code in `codes`
/// @param scales `MemorySegment.NULL` for `Plain` and `Ggml`
/// @param scalesOffset byte offset of the first scale in `scales`
public record Tile(
    Encoding encoding,
    MemorySegment codes,
    long codesOffset,
    MemorySegment scales,
    long scalesOffset,
    long rows,
    long cols) {

  public Tile {
    Shape shape = Shape.of(rows, cols);
    long codeBytes = encoding.codeBytes(shape.elements());
    Objects.checkFromIndexSize(codesOffset, codeBytes, codes.byteSize());
    Objects.checkFromIndexSize(scalesOffset, scaleBytes(encoding, shape), scales.byteSize());
  }

  /// A tile of numbers without scales.
  public static Tile plain(
      ElementType type, MemorySegment codes, long codesOffset, long rows, long cols) {
    return new Tile(
        new Encoding.Plain(type), codes, codesOffset, MemorySegment.NULL, 0, rows, cols);
  }

  /// Number of decode scales; none for `Plain`.
  long scaleCount() {
    return encoding.scaleShape(Shape.of(rows, cols)).map(Shape::elements).orElse(0L);
  }

  /// Bytes of the decode scales.
  long scaleBytes() {
    return scaleBytes(encoding, Shape.of(rows, cols));
  }

  private static long scaleBytes(Encoding encoding, Shape shape) {
    Optional<Shape> scales = encoding.scaleShape(shape);
    return scales.isEmpty() ? 0 : scales.get().bytes(encoding.scales().orElseThrow());
  }
}
