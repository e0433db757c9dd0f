package smelt.formats.codec;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import smelt.formats.ElementType;
import smelt.formats.UnsupportedException;

class TileDecoderTest {

  private static final Encoding F32 = new Encoding.Plain(ElementType.F32);

  static Stream<Encoding> encodings() {
    return Stream.of(
        F32,
        new Encoding.Plain(ElementType.BF16),
        new Encoding.Plain(ElementType.F16),
        Encoding.fp8Block(ScaleFormat.FLOAT),
        new Encoding.Block(ElementType.I8, 7, 30, ElementType.BF16, ScaleFormat.FLOAT),
        new Encoding.Channel(ElementType.F8_E5M2, ElementType.BF16),
        new Encoding.Channel(ElementType.I8, ElementType.F32));
  }

  @ParameterizedTest
  @MethodSource("encodings")
  void readsAnyPieceOfAnyRow(Encoding encoding) {
    Random random = new Random(81);
    for (String kernels : new String[] {"scalar", "vector"}) {
      try (Arena arena = Arena.ofConfined()) {
        Tile tile = TestTiles.random(arena, encoding, 150, 300, random);
        MemorySegment scratch = arena.allocate(5 + TileDecoder.scratchBytes(encoding, 300));
        TileDecoder decoder = new TileDecoder(KernelSet.choose(kernels), tile, scratch, 5);
        MemorySegment out = arena.allocate(4 * 301);
        for (int row : new int[] {149, 0, 6, 7, 128, 127}) {
          for (int col : new int[] {0, 1, 29, 30, 127, 128, 299}) {
            for (int count : new int[] {0, 1, 31, 130, 300}) {
              int n = Math.min(count, 300 - col);
              out.fill((byte) 0x5A);
              decoder.read(row, col, n, out, 0);
              for (int i = 0; i < n; i++) {
                assertThat(out.get(Layouts.F32, 4L * i)).isEqualTo(value(tile, row, col + i));
              }
              assertThat(out.get(Layouts.U32, 4L * n)).isEqualTo(0x5A5A5A5A);
            }
          }
        }
      }
    }
  }

  private static float value(Tile tile, int row, int col) {
    long index = (long) row * tile.cols() + col;
    MemorySegment codes = tile.codes();
    long at = tile.codesOffset() + tile.encoding().type().bytes(index);
    long scaleIndex =
        switch (tile.encoding()) {
          case Encoding.Plain _ -> 0;
          case Encoding.Channel _ -> row;
          case Encoding.Block b ->
              row / b.blockRows() * Math.ceilDiv(tile.cols(), (long) b.blockCols())
                  + col / b.blockCols();
        };
    return switch (tile.encoding().type()) {
      case F32 -> codes.get(Layouts.F32, at);
      case BF16 -> Scalars.decodeBf16(codes.get(Layouts.U16, at));
      case F16 -> Scalars.decodeF16(codes.get(Layouts.U16, at));
      case F8_E4M3 ->
          Scalars.decodeE4m3(codes.get(Layouts.U8, at), TestTiles.scale(tile, scaleIndex));
      case F8_E5M2 ->
          Scalars.decodeE5m2(codes.get(Layouts.U8, at), TestTiles.scale(tile, scaleIndex));
      default -> Scalars.decodeInt8(codes.get(Layouts.U8, at), TestTiles.scale(tile, scaleIndex));
    };
  }

  @Test
  void refusesWhatItCannotReadAndPiecesBeyondTheTile() {
    try (Arena arena = Arena.ofConfined()) {
      Tile i64 = TestTiles.empty(arena, new Encoding.Plain(ElementType.I64), 1, 3);
      assertThatThrownBy(() -> new TileDecoder(new ScalarKernels(), i64, MemorySegment.NULL, 0))
          .isInstanceOf(UnsupportedException.class);
      Tile tile = TestTiles.empty(arena, F32, 2, 3);
      TileDecoder decoder = new TileDecoder(new ScalarKernels(), tile, MemorySegment.NULL, 0);
      MemorySegment out = arena.allocate(64);
      assertThatThrownBy(() -> decoder.read(2, 0, 1, out, 0))
          .isInstanceOf(IndexOutOfBoundsException.class);
      assertThatThrownBy(() -> decoder.read(1, 2, 2, out, 0))
          .isInstanceOf(IndexOutOfBoundsException.class);
    }
  }
}
