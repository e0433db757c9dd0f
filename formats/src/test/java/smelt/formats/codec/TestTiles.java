package smelt.formats.codec;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Random;
import smelt.formats.ElementType;
import smelt.formats.Shape;

/// Tiles at odd offsets with guard bytes around them.
final class TestTiles {

  private static final int GUARDED = 71;
  private static final byte GUARD = (byte) 0x5A;

  private TestTiles() {}

  static Tile empty(Arena arena, Encoding encoding, long rows, long cols) {
    Shape shape = Shape.of(rows, cols);
    long scaleBytes = encoding.scaleShape(shape).map(s -> s.bytes(scaleType(encoding))).orElse(0L);
    return new Tile(
        encoding,
        guarded(arena, encoding.codeBytes(shape.elements())),
        GUARDED,
        guarded(arena, scaleBytes),
        GUARDED,
        rows,
        cols);
  }

  private static MemorySegment guarded(Arena arena, long bytes) {
    MemorySegment memory = arena.allocate(bytes + 2 * GUARDED).fill(GUARD);
    memory.asSlice(GUARDED, bytes).fill((byte) 0);
    return memory;
  }

  /// Finite values as a trained weight has them (about normal, of one size), any finite codes.
  static Tile random(Arena arena, Encoding encoding, long rows, long cols, Random random) {
    Tile tile = empty(arena, encoding, rows, cols);
    for (long i = 0; i < rows * cols; i++) {
      double value = random.nextGaussian() * 0.02;
      switch (encoding.type()) {
        case F32 -> tile.codes().set(Layouts.F32, GUARDED + 4 * i, (float) value);
        case BF16 ->
            tile.codes().set(Layouts.U16, GUARDED + 2 * i, Scalars.encodeBf16((float) value));
        case F16 ->
            tile.codes().set(Layouts.U16, GUARDED + 2 * i, Float.floatToFloat16((float) value));
        case I32 -> {
          int pair = random.nextInt(256);
          tile.codes().set(Layouts.U8, GUARDED + i / 2, (byte) pair);
        }
        case I64 -> tile.codes().set(Layouts.U32, GUARDED + 8 * i, random.nextInt());
        default -> tile.codes().set(Layouts.U8, GUARDED + i, code(encoding.type(), random));
      }
    }
    for (long i = 0; i < tile.scaleCount(); i++) {
      boolean powers = encoding instanceof Encoding.Block b && b.scaleFormat() == ScaleFormat.UE8M0;
      double exponent = -9 + random.nextGaussian();
      setScale(tile, i, (float) Math.pow(2, powers ? Math.rint(exponent) : exponent));
    }
    return tile;
  }

  private static byte code(ElementType type, Random random) {
    byte code = (byte) random.nextInt(256);
    boolean bad =
        switch (type) {
          case F8_E4M3 -> Scalars.isNanE4m3(code);
          case F8_E5M2 -> !Scalars.isFiniteE5m2(code);
          default -> false;
        };
    return bad ? 0x15 : code;
  }

  static float scale(Tile tile, long index) {
    return switch (scaleType(tile.encoding())) {
      case BF16 ->
          Scalars.decodeBf16(tile.scales().get(Layouts.U16, tile.scalesOffset() + 2 * index));
      case F16 ->
          Scalars.decodeF16(tile.scales().get(Layouts.U16, tile.scalesOffset() + 2 * index));
      default -> tile.scales().get(Layouts.F32, tile.scalesOffset() + 4 * index);
    };
  }

  static void setScale(Tile tile, long index, float scale) {
    switch (scaleType(tile.encoding())) {
      case BF16 -> {
        short bits = (short) (Float.floatToRawIntBits(scale) >>> 16);
        tile.scales().set(Layouts.U16, tile.scalesOffset() + 2 * index, bits);
      }
      case F16 ->
          tile.scales()
              .set(Layouts.U16, tile.scalesOffset() + 2 * index, Float.floatToFloat16(scale));
      default -> tile.scales().set(Layouts.F32, tile.scalesOffset() + 4 * index, scale);
    }
  }

  static void plantNan(Tile tile, long row, long col) {
    plant(tile, row, col, 0x7FC00000, (byte) 0xFF);
  }

  static void plantInfinity(Tile tile, long row, long col) {
    plant(tile, row, col, 0x7F800000, (byte) 0x7C);
  }

  private static void plant(Tile tile, long row, long col, int bits, byte code) {
    long i = row * tile.cols() + col;
    MemorySegment codes = tile.codes();
    switch (tile.encoding().type()) {
      case F32 -> codes.set(Layouts.U32, tile.codesOffset() + 4 * i, bits);
      case BF16 -> codes.set(Layouts.U16, tile.codesOffset() + 2 * i, (short) (bits >>> 16));
      case F16 ->
          codes.set(
              Layouts.U16,
              tile.codesOffset() + 2 * i,
              Float.floatToFloat16(Float.intBitsToFloat(bits)));
      default -> codes.set(Layouts.U8, tile.codesOffset() + i, code);
    }
  }

  /// Some rows of a tile; `row` begins a block.
  static Tile rows(Tile tile, long row, long rows) {
    long scaleRows = 0;
    if (tile.encoding() instanceof Encoding.Block b) {
      scaleRows = row / b.blockRows() * Math.ceilDiv(tile.cols(), (long) b.blockCols());
    } else if (tile.encoding() instanceof Encoding.Channel) {
      scaleRows = row;
    } else if (tile.encoding() instanceof Encoding.Int4 i) {
      scaleRows = row * tile.cols() / i.group();
    }
    return new Tile(
        tile.encoding(),
        tile.codes(),
        tile.codesOffset() + tile.encoding().codeBytes(row * tile.cols()),
        tile.scales(),
        tile.scalesOffset() + scaleType(tile.encoding()).bytes(scaleRows),
        rows,
        tile.cols());
  }

  static void assertSame(Tile actual, Tile expected, String what) {
    assertThat(actual.scales().mismatch(expected.scales())).as("scales, %s", what).isEqualTo(-1);
    assertThat(actual.codes().mismatch(expected.codes())).as("codes, %s", what).isEqualTo(-1);
  }

  /// The bytes around the tile must be as they were.
  static void assertGuards(Tile tile) {
    MemorySegment guards = MemorySegment.ofArray(new byte[GUARDED]).fill(GUARD);
    for (MemorySegment memory : new MemorySegment[] {tile.codes(), tile.scales()}) {
      assertThat(memory.asSlice(0, GUARDED).mismatch(guards)).isEqualTo(-1);
      assertThat(memory.asSlice(memory.byteSize() - GUARDED).mismatch(guards)).isEqualTo(-1);
    }
  }

  static ElementType scaleType(Encoding encoding) {
    return encoding.scales().orElse(ElementType.F32);
  }
}
