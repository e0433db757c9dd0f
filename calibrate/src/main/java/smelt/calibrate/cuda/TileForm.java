package smelt.calibrate.cuda;

import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.ScaleFormat;
import smelt.formats.codec.Tile;

/// What kernels need to know of a tile: the name of its codes, its blocks, its bytes.
///
/// @param codes as in the kernels' names
/// @param blockRows rows that share a scale; 1 where there is none
/// @param blockCols columns that share a scale; all of them where there is none
/// @param scaleType F32 where there is none
record TileForm(
    String codes,
    long blockRows,
    long blockCols,
    ElementType scaleType,
    boolean powersOfTwo,
    long codeBytes,
    long scales) {

  static TileForm of(Tile tile) {
    return of(tile.encoding(), tile.rows(), tile.cols());
  }

  static TileForm of(Encoding encoding, long rows, long cols) {
    Shape shape = Shape.of(rows, cols);
    long scales = encoding.scaleShape(shape).map(Shape::elements).orElse(0L);
    ElementType scaleType = encoding.scales().orElse(ElementType.F32);
    String codes = name(encoding.type());
    long bytes = encoding.codeBytes(shape.elements());
    return encoding instanceof Encoding.Block b
        ? new TileForm(
            codes,
            b.blockRows(),
            b.blockCols(),
            scaleType,
            b.scaleFormat() == ScaleFormat.UE8M0,
            bytes,
            scales)
        : new TileForm(codes, 1, cols, scaleType, false, bytes, scales);
  }

  /// Whether there are kernels for these codes.
  static boolean isKnown(Encoding encoding) {
    return switch (encoding) {
      case Encoding.Plain _, Encoding.Block _, Encoding.Channel _ ->
          isNamed(encoding.type()) && isScale(encoding.scales().orElse(ElementType.F32));
      case Encoding.Int4 _, Encoding.Ggml _ -> false;
    };
  }

  private static boolean isNamed(ElementType type) {
    return switch (type) {
      case BF16, F16, F32, F8_E4M3, F8_E5M2, I8 -> true;
      default -> false;
    };
  }

  private static boolean isScale(ElementType type) {
    return type == ElementType.F32 || type == ElementType.BF16 || type == ElementType.F16;
  }

  /// Name of a type in the kernels' names.
  static String name(ElementType type) {
    return switch (type) {
      case BF16 -> "bf16";
      case F16 -> "f16";
      case F32 -> "f32";
      case F8_E4M3 -> "e4m3";
      case F8_E5M2 -> "e5m2";
      case I8 -> "int8";
      default -> throw new IllegalArgumentException("no kernels for " + type);
    };
  }

  long scaleBytes() {
    return scaleType.bytes(scales);
  }
}
