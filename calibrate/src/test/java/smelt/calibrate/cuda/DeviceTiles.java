package smelt.calibrate.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.ScaleFormat;
import smelt.formats.codec.Tile;

/// Tiles to transcode, and every encoding that the device knows.
final class DeviceTiles {

  static final ValueLayout.OfShort U16 =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  static final ValueLayout.OfFloat F32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private static final int BEFORE = 24;

  private DeviceTiles() {}

  static List<Encoding> sources() {
    List<Encoding> all = new ArrayList<>();
    for (ElementType type : List.of(ElementType.BF16, ElementType.F16, ElementType.F32)) {
      all.add(new Encoding.Plain(type));
    }
    for (ElementType type : List.of(ElementType.F8_E4M3, ElementType.F8_E5M2, ElementType.I8)) {
      all.add(new Encoding.Block(type, 128, 128, ElementType.F32, ScaleFormat.FLOAT));
      all.add(new Encoding.Block(type, 64, 96, ElementType.F16, ScaleFormat.FLOAT));
      all.add(new Encoding.Channel(type, ElementType.BF16));
    }
    return all;
  }

  /// Weights that the device multiplies with.
  static List<Encoding> weights() {
    return List.of(
        new Encoding.Plain(ElementType.BF16),
        new Encoding.Plain(ElementType.F32),
        Encoding.fp8Block(ScaleFormat.FLOAT),
        new Encoding.Block(ElementType.I8, 128, 128, ElementType.F32, ScaleFormat.FLOAT),
        new Encoding.Block(ElementType.F8_E4M3, 64, 32, ElementType.F32, ScaleFormat.FLOAT),
        new Encoding.Channel(ElementType.F8_E4M3, ElementType.F32),
        new Encoding.Channel(ElementType.I8, ElementType.F32));
  }

  static List<Encoding> targets() {
    return List.of(
        new Encoding.Plain(ElementType.BF16),
        new Encoding.Plain(ElementType.F32),
        new Encoding.Block(ElementType.F8_E4M3, 128, 128, ElementType.F32, ScaleFormat.FLOAT),
        new Encoding.Block(ElementType.F8_E4M3, 128, 128, ElementType.F32, ScaleFormat.UE8M0),
        new Encoding.Block(ElementType.I8, 128, 128, ElementType.F32, ScaleFormat.FLOAT),
        new Encoding.Block(ElementType.I8, 33, 50, ElementType.F32, ScaleFormat.FLOAT),
        new Encoding.Channel(ElementType.F8_E4M3, ElementType.F32),
        new Encoding.Channel(ElementType.I8, ElementType.F32));
  }

  /// Zeros, at offsets that are not zero.
  static Tile empty(Arena arena, Encoding encoding, long rows, long cols) {
    Shape shape = Shape.of(rows, cols);
    ElementType scaleType = encoding.scales().orElse(ElementType.F32);
    long scaleBytes = encoding.scaleShape(shape).map(s -> s.bytes(scaleType)).orElse(0L);
    long codeBytes = encoding.codeBytes(shape.elements());
    return new Tile(
        encoding,
        arena.allocate(codeBytes + 2 * BEFORE),
        BEFORE,
        scaleBytes == 0 ? MemorySegment.NULL : arena.allocate(scaleBytes + 2 * BEFORE),
        scaleBytes == 0 ? 0 : BEFORE,
        rows,
        cols);
  }

  /// Finite values, and scales of very different sizes.
  static Tile random(Arena arena, Encoding encoding, long rows, long cols, Random random) {
    Tile tile = empty(arena, encoding, rows, cols);
    for (long i = 0; i < rows * cols; i++) {
      float value = (float) (random.nextGaussian() * 0.02);
      long at = tile.codesOffset() + encoding.codeBytes(i);
      switch (encoding.type()) {
        case F32 -> tile.codes().set(F32, at, value);
        case BF16 -> tile.codes().set(U16, at, (short) (Float.floatToRawIntBits(value) >>> 16));
        case F16 -> tile.codes().set(U16, at, Float.floatToFloat16(value));
        default -> tile.codes().set(ValueLayout.JAVA_BYTE, at, code(encoding.type(), random));
      }
    }
    ElementType scaleType = encoding.scales().orElse(ElementType.F32);
    long scales = encoding.scaleShape(Shape.of(rows, cols)).map(Shape::elements).orElse(0L);
    for (long i = 0; i < scales; i++) {
      setScale(tile, scaleType, i, (float) Math.pow(2, -8 + 3 * random.nextGaussian()));
    }
    return tile;
  }

  static void setScale(Tile tile, ElementType type, long index, float value) {
    long at = tile.scalesOffset() + type.bytes(index);
    switch (type) {
      case F32 -> tile.scales().set(F32, at, value);
      case F16 -> tile.scales().set(U16, at, Float.floatToFloat16(value));
      default -> tile.scales().set(U16, at, (short) (Float.floatToRawIntBits(value) >>> 16));
    }
  }

  private static byte code(ElementType type, Random random) {
    while (true) {
      byte code = (byte) random.nextInt(256);
      boolean finite =
          switch (type) {
            case F8_E4M3 -> (code & 0x7F) != 0x7F;
            case F8_E5M2 -> (code & 0x7C) != 0x7C;
            default -> true;
          };
      if (finite) {
        return code;
      }
    }
  }
}
