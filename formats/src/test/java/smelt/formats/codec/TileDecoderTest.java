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
import smelt.formats.gguf.BlockDecoder;
import smelt.formats.gguf.GgmlType;

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

  static Stream<Encoding> int4() {
    return Stream.of(
        new Encoding.Int4(32, ElementType.BF16, -8),
        new Encoding.Int4(8, ElementType.F16, -8),
        new Encoding.Int4(160, ElementType.F32, -7));
  }

  static Stream<Encoding> blocks() {
    return Stream.of(GgmlType.Q8_0, GgmlType.Q4_K, GgmlType.Q6_K).map(Encoding.Ggml::new);
  }

  /// Whole rows by the block decoder are the truth; pieces begin and end inside blocks.
  @ParameterizedTest
  @MethodSource("blocks")
  void readsAnyPieceOfBlocks(Encoding.Ggml encoding) {
    long cols = 768;
    long rows = 3;
    Random random = new Random(83);
    try (Arena arena = Arena.ofConfined()) {
      byte[] bytes = new byte[Math.toIntExact(encoding.codeBytes(rows * cols))];
      random.nextBytes(bytes);
      MemorySegment codes = arena.allocate(bytes.length + 7L);
      MemorySegment.copy(MemorySegment.ofArray(bytes), 0, codes, 7, bytes.length);
      float[] expected = new float[(int) (rows * cols)];
      BlockDecoder.decode(
          encoding.blocks(), codes, 7, rows, cols, MemorySegment.ofArray(expected), 0);
      Tile tile = new Tile(encoding, codes, 7, MemorySegment.NULL, 0, rows, cols);
      TileDecoder decoder = new TileDecoder(KernelSet.choose("auto"), tile, MemorySegment.NULL, 0);
      MemorySegment out = arena.allocate(4 * (cols + 1));
      for (int row = 2; row >= 0; row--) {
        for (int col : new int[] {0, 1, 31, 32, 255, 256, 300, 767}) {
          for (int count : new int[] {0, 1, 32, 33, 256, 400, 768}) {
            int n = (int) Math.min(count, cols - col);
            out.fill((byte) 0x5A);
            decoder.read(row, col, n, out, 0);
            for (int i = 0; i < n; i++) {
              assertThat(out.get(Layouts.U32, 4L * i))
                  .isEqualTo(Float.floatToRawIntBits(expected[(int) (row * cols) + col + i]));
            }
            assertThat(out.get(Layouts.U32, 4L * n)).isEqualTo(0x5A5A5A5A);
          }
        }
      }
    }
  }

  @Test
  void refusesNumbersOfBlocksThatAreNotFinite() {
    Encoding.Ggml encoding = new Encoding.Ggml(GgmlType.Q8_0);
    Encoding f32 = new Encoding.Plain(ElementType.F32);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment codes = arena.allocate(encoding.codeBytes(64));
      codes.fill((byte) 1);
      codes.set(java.lang.foreign.ValueLayout.JAVA_BYTE, 35, (byte) 0x7C);
      Tile tile = new Tile(encoding, codes, 0, MemorySegment.NULL, 0, 1, 64);
      MemorySegment out = arena.allocate(256);
      MemorySegment scratch = arena.allocate(Transcoder.scratchBytes(encoding, f32, 64));
      assertThatThrownBy(() ->
              Transcoder.transcode(
                  KernelSet.choose("auto"),
                  tile,
                  Tile.plain(ElementType.F32, out, 0, 1, 64),
                  scratch))
          .isInstanceOf(NonFiniteException.class);
    }
  }

  @ParameterizedTest
  @MethodSource("int4")
  void readsAnyPieceOfPackedCodes(Encoding encoding) {
    Random random = new Random(82);
    for (String kernels : new String[] {"scalar", "vector"}) {
      try (Arena arena = Arena.ofConfined()) {
        Tile tile = TestTiles.random(arena, encoding, 5, 320, random);
        MemorySegment scratch = arena.allocate(5 + TileDecoder.scratchBytes(encoding, 320));
        TileDecoder decoder = new TileDecoder(KernelSet.choose(kernels), tile, scratch, 5);
        MemorySegment out = arena.allocate(4 * 321);
        for (int row = 4; row >= 0; row--) {
          for (int col : new int[] {0, 1, 2, 31, 32, 33, 159, 160, 318, 319}) {
            for (int count : new int[] {0, 1, 2, 3, 31, 65, 130, 320}) {
              int n = Math.min(count, 320 - col);
              out.fill((byte) 0x5A);
              decoder.read(row, col, n, out, 0);
              for (int i = 0; i < n; i++) {
                assertThat(out.get(Layouts.F32, 4L * i))
                    .isEqualTo(NaiveTranscoder.value(tile, row, col + i));
              }
              assertThat(out.get(Layouts.U32, 4L * n)).isEqualTo(0x5A5A5A5A);
            }
          }
        }
      }
    }
  }

  @Test
  void readsTheNibblesOfAWordFromTheLowestOn() {
    try (Arena arena = Arena.ofConfined()) {
      Encoding encoding = new Encoding.Int4(8, ElementType.BF16, -8);
      Tile tile = TestTiles.empty(arena, encoding, 1, 16);
      tile.codes().set(Layouts.U32, tile.codesOffset(), 0x76543210);
      tile.codes().set(Layouts.U32, tile.codesOffset() + 4, 0xFEDCBA98);
      TestTiles.setScale(tile, 0, 1f);
      TestTiles.setScale(tile, 1, 0.5f);
      TileDecoder decoder = new TileDecoder(new ScalarKernels(), tile, arena.allocate(8), 0);
      MemorySegment out = arena.allocate(64);
      decoder.read(0, 0, 16, out, 0);
      assertThat(out.toArray(Layouts.F32))
          .containsExactly(-8, -7, -6, -5, -4, -3, -2, -1, 0, .5f, 1, 1.5f, 2, 2.5f, 3, 3.5f);
    }
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
                assertThat(out.get(Layouts.F32, 4L * i))
                    .isEqualTo(NaiveTranscoder.value(tile, row, col + i));
              }
              assertThat(out.get(Layouts.U32, 4L * n)).isEqualTo(0x5A5A5A5A);
            }
          }
        }
      }
    }
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
