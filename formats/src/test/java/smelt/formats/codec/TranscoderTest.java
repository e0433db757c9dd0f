package smelt.formats.codec;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static smelt.formats.ElementType.BF16;
import static smelt.formats.ElementType.F16;
import static smelt.formats.ElementType.F32;
import static smelt.formats.ElementType.F8_E4M3;
import static smelt.formats.ElementType.F8_E5M2;
import static smelt.formats.ElementType.I64;
import static smelt.formats.ElementType.I8;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.formats.UnsupportedException;

class TranscoderTest {

  private static final Encoding FP8 = Encoding.fp8Block(ScaleFormat.FLOAT);
  private static final Encoding FP8_UE8M0 = Encoding.fp8Block(ScaleFormat.UE8M0);

  private static final List<Encoding> SOURCES =
      List.of(
          new Encoding.Plain(BF16),
          new Encoding.Plain(F16),
          new Encoding.Plain(F32),
          FP8,
          FP8_UE8M0,
          new Encoding.Block(F8_E4M3, 128, 128, BF16, ScaleFormat.FLOAT),
          new Encoding.Block(F8_E4M3, 1, 48, F32, ScaleFormat.FLOAT),
          new Encoding.Block(F8_E5M2, 64, 100, BF16, ScaleFormat.FLOAT),
          new Encoding.Block(I8, 128, 128, F32, ScaleFormat.FLOAT),
          new Encoding.Channel(F8_E4M3, F32),
          new Encoding.Channel(F8_E5M2, BF16),
          new Encoding.Channel(I8, BF16));

  private static final List<Encoding> TARGETS =
      List.of(
          new Encoding.Plain(BF16),
          new Encoding.Plain(F32),
          FP8,
          FP8_UE8M0,
          new Encoding.Channel(F8_E4M3, F32),
          new Encoding.Channel(I8, F32),
          new Encoding.Block(I8, 128, 128, F32, ScaleFormat.FLOAT));

  private static final long[][] SHAPES = {
    {1, 1}, {1, 0}, {0, 256}, {3, 127}, {128, 128}, {129, 130}, {160, 256}, {129, 2049}
  };

  private final Kernels scalar = KernelSet.choose("scalar");
  private final Kernels vector = KernelSet.choose("vector");

  static Stream<Encoding> sources() {
    return SOURCES.stream();
  }

  static Stream<Encoding> targets() {
    return TARGETS.stream();
  }

  @ParameterizedTest
  @MethodSource("sources")
  void everyTargetIsWhatTheRulesSayOneValueAtATime(Encoding source) {
    for (long[] shape : SHAPES) {
      try (Arena arena = Arena.ofConfined()) {
        Tile from = TestTiles.random(arena, source, shape[0], shape[1], new Random(shape[1]));
        for (Encoding target : TARGETS) {
          Tile expected = TestTiles.empty(arena, target, shape[0], shape[1]);
          if (!NaiveTranscoder.copies(from, expected)) {
            NaiveTranscoder.transcode(from, expected);
          }
          for (Kernels kernels : List.of(scalar, vector)) {
            Tile to = TestTiles.empty(arena, target, shape[0], shape[1]);
            transcode(kernels, from, to, arena);
            TestTiles.assertSame(
                to, expected, source + " to " + target + " " + List.of(shape[0], shape[1]));
          }
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("targets")
  void cuttingATensorIntoTilesChangesNothing(Encoding target) {
    long rows = 400;
    long cols = 300;
    for (Encoding source : List.of(SOURCES.get(0), FP8, SOURCES.get(5), SOURCES.get(11))) {
      try (Arena arena = Arena.ofConfined()) {
        Tile from = TestTiles.random(arena, source, rows, cols, new Random(3));
        Tile whole = TestTiles.empty(arena, target, rows, cols);
        Tile pieces = TestTiles.empty(arena, target, rows, cols);
        transcode(vector, from, whole, arena);
        for (long row = 0; row < rows; row += 128) {
          long n = Math.min(128, rows - row);
          transcode(vector, TestTiles.rows(from, row, n), TestTiles.rows(pieces, row, n), arena);
        }
        TestTiles.assertSame(pieces, whole, source + " to " + target);
      }
    }
  }

  @Test
  void vectorEqualsScalarAtTheRealModelsRaggedMatrix() {
    for (Encoding source : List.of(SOURCES.get(0), FP8)) {
      try (Arena arena = Arena.ofConfined()) {
        Tile from = TestTiles.random(arena, source, 576, 7168, new Random(5));
        for (Encoding target : List.of(TARGETS.get(0), FP8, FP8_UE8M0, TARGETS.get(5))) {
          Tile first = TestTiles.empty(arena, target, 576, 7168);
          Tile second = TestTiles.empty(arena, target, 576, 7168);
          transcode(scalar, from, first, arena);
          transcode(vector, from, second, arena);
          TestTiles.assertSame(second, first, source + " to " + target);
        }
      }
    }
  }

  @Test
  void copiesWhatTheTargetCanHoldAsItIs() {
    Encoding bf16Scales = new Encoding.Block(F8_E4M3, 128, 128, BF16, ScaleFormat.FLOAT);
    for (Encoding[] pair :
        new Encoding[][] {
          {FP8, FP8}, {FP8_UE8M0, FP8_UE8M0}, {FP8_UE8M0, FP8}, {bf16Scales, FP8}
        }) {
      try (Arena arena = Arena.ofConfined()) {
        Tile from = TestTiles.random(arena, pair[0], 160, 256, new Random(9));
        Tile to = TestTiles.empty(arena, pair[1], 160, 256);
        transcode(vector, from, to, arena);
        assertThat(to.codes().mismatch(from.codes())).isEqualTo(-1);
        for (long i = 0; i < from.scaleCount(); i++) {
          assertThat(TestTiles.scale(to, i)).isEqualTo(TestTiles.scale(from, i));
        }
      }
    }
  }

  @Test
  void copiesTypesItCannotDecode() {
    try (Arena arena = Arena.ofConfined()) {
      Tile from = TestTiles.random(arena, new Encoding.Plain(I64), 3, 5, new Random(1));
      Tile to = TestTiles.empty(arena, new Encoding.Plain(I64), 3, 5);
      transcode(scalar, from, to, arena);
      TestTiles.assertSame(to, from, "I64");
    }
  }

  @Test
  void zerosGetTheScaleOneAndTinyValuesTheSmallestNormalScale() {
    for (Encoding target : TARGETS.subList(2, 7)) {
      try (Arena arena = Arena.ofConfined()) {
        Tile from = TestTiles.empty(arena, new Encoding.Plain(F32), 1, 200);
        Tile to = TestTiles.empty(arena, target, 1, 200);
        transcode(vector, from, to, arena);
        assertThat(TestTiles.scale(to, 0)).isEqualTo(1f);
        assertThat(to.codes().asSlice(to.codesOffset(), 200).toArray(Layouts.U8)).containsOnly(0);
        from.codes().set(Layouts.F32, from.codesOffset() + 40, 1e-38f);
        transcode(vector, from, to, arena);
        assertThat(TestTiles.scale(to, 0)).isEqualTo(Float.MIN_NORMAL);
        assertThat(to.codes().get(Layouts.U8, to.codesOffset() + 10)).isPositive();
      }
    }
  }

  @Test
  void powerOfTwoScalesAreTheSmallestThatDoNotSaturate() {
    for (int exponent = -110; exponent < 110; exponent++) {
      float edge = 448f * (float) Math.pow(2, exponent);
      for (float absmax : new float[] {Math.nextDown(edge), edge, Math.nextUp(edge)}) {
        float scale = ScaleRule.E4M3_UE8M0.scale(absmax);
        assertThat((double) absmax).isLessThanOrEqualTo(448.0 * scale);
        assertThat((double) absmax).isGreaterThan(448.0 * scale / 2);
        assertThat(Math.scalb(1f, Math.getExponent(scale))).isEqualTo(scale);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("sources")
  void namesTheFirstValueThatIsNotFinite(Encoding source) {
    if (source.type() == I8) {
      return;
    }
    try (Arena arena = Arena.ofConfined()) {
      Tile from = TestTiles.random(arena, source, 133, 1031, new Random(2));
      TestTiles.plantNan(from, 132, 1030);
      MemorySegment before = arena.allocate(from.codes().byteSize()).copyFrom(from.codes());
      for (long[] at : new long[][] {{132, 1030}, {130, 5}, {7, 900}, {0, 0}}) {
        from.codes().copyFrom(before);
        TestTiles.plantNan(from, at[0], at[1]);
        for (Encoding target : Stream.concat(TARGETS.stream(), Stream.of(source)).toList()) {
          Tile to = TestTiles.empty(arena, target, 133, 1031);
          assertThatThrownBy(() -> transcode(vector, from, to, arena))
              .as("%s to %s", source, target)
              .isInstanceOfSatisfying(
                  NonFiniteException.class,
                  e -> {
                    assertThat(e.place())
                        .isEqualTo(new NonFiniteException.Place.Weight(at[0], at[1]));
                    assertThat(e.value()).isNaN();
                  })
              .hasMessageContaining("row " + at[0] + ", column " + at[1]);
        }
      }
    }
  }

  @Test
  void namesAnInfiniteWeight() {
    for (ElementType type : List.of(BF16, F16, F32)) {
      try (Arena arena = Arena.ofConfined()) {
        Tile from = TestTiles.random(arena, new Encoding.Plain(type), 3, 100, new Random(2));
        TestTiles.plantInfinity(from, 2, 99);
        Tile to = TestTiles.empty(arena, FP8, 3, 100);
        assertThatThrownBy(() -> transcode(vector, from, to, arena))
            .hasMessageContaining("row 2, column 99 of the tile is Infinity");
      }
    }
  }

  @ParameterizedTest
  @MethodSource("sources")
  void namesAScaleThatNoEncodingMayHave(Encoding source) {
    if (source instanceof Encoding.Plain) {
      return;
    }
    for (float bad : new float[] {Float.NaN, Float.POSITIVE_INFINITY, 0f, -0f, -1f}) {
      for (Encoding target : Stream.concat(TARGETS.stream(), Stream.of(source)).toList()) {
        try (Arena arena = Arena.ofConfined()) {
          Tile from = TestTiles.random(arena, source, 300, 130, new Random(2));
          Tile to = TestTiles.empty(arena, target, 300, 130);
          TestTiles.setScale(from, from.scaleCount() - 2, bad);
          assertThatThrownBy(() -> transcode(vector, from, to, arena))
              .as("%s to %s", source, target)
              .isInstanceOfSatisfying(
                  NonFiniteException.class,
                  e ->
                      assertThat(e.place())
                          .isEqualTo(new NonFiniteException.Place.Scale(from.scaleCount() - 2)));
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("sources")
  void checksACopyThatIsNotMade(Encoding source) {
    try (Arena arena = Arena.ofConfined()) {
      Tile tile = TestTiles.random(arena, source, 130, 2049, new Random(2));
      MemorySegment scratch = arena.allocate(Transcoder.scratchBytes(source, source, 2049));
      Transcoder.check(vector, tile, scratch);
      if (source.type() == I8) {
        TestTiles.setScale(tile, 1, Float.NaN);
      } else {
        TestTiles.plantNan(tile, 129, 2048);
      }
      assertThatThrownBy(() -> Transcoder.check(vector, tile, scratch))
          .isInstanceOf(NonFiniteException.class);
    }
  }

  @Test
  void refusesAPowerOfTwoEncodingWhoseScaleIsNone() {
    try (Arena arena = Arena.ofConfined()) {
      Tile from = TestTiles.random(arena, FP8_UE8M0, 128, 256, new Random(2));
      TestTiles.setScale(from, 1, 0.75f);
      Tile to = TestTiles.empty(arena, FP8_UE8M0, 128, 256);
      assertThatThrownBy(() -> transcode(vector, from, to, arena))
          .hasMessageContaining("decode scale 1 of the tile is 0.75");
    }
  }

  @Test
  void refusesValuesThatBecomeInfiniteInTheTarget() {
    try (Arena arena = Arena.ofConfined()) {
      Tile codes = TestTiles.random(arena, FP8, 3, 100, new Random(2));
      TestTiles.setScale(codes, 0, 1e38f);
      codes.codes().fill((byte) 0x38);
      codes.codes().set(Layouts.U8, codes.codesOffset() + 205, (byte) 0x7E);
      Tile bf16 = TestTiles.empty(arena, new Encoding.Plain(BF16), 3, 100);
      assertThatThrownBy(() -> transcode(vector, codes, bf16, arena))
          .hasMessageContaining("row 2, column 5 of the tile is Infinity");

      Tile f32 = TestTiles.empty(arena, new Encoding.Plain(F32), 3, 100);
      f32.codes().set(Layouts.F32, f32.codesOffset() + 4 * 101, -3.4e38f);
      assertThatThrownBy(() -> transcode(vector, f32, bf16, arena))
          .hasMessageContaining("row 1, column 1 of the tile is -3.4E38");
    }
  }

  @Test
  void refusesPairsThatNobodyDefined() {
    try (Arena arena = Arena.ofConfined()) {
      Encoding target = new Encoding.Channel(F8_E5M2, F32);
      assertThat(Transcoder.supports(FP8, target)).isFalse();
      Tile from = TestTiles.random(arena, FP8, 3, 100, new Random(2));
      Tile to = TestTiles.empty(arena, target, 3, 100);
      assertThatThrownBy(() -> transcode(vector, from, to, arena))
          .isInstanceOf(UnsupportedException.class);
    }
  }

  @Test
  void refusesTilesThatReachBeyondTheirMemoryOrScratchThatIsTooSmall() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment memory = arena.allocate(200);
      assertThatThrownBy(() -> Tile.plain(BF16, memory, 1, 10, 10))
          .isInstanceOf(IndexOutOfBoundsException.class);
      assertThatThrownBy(() -> new Tile(FP8, memory, 0, memory, 193, 129, 1))
          .isInstanceOf(IndexOutOfBoundsException.class);
      Tile from = TestTiles.random(arena, FP8, 3, 100, new Random(2));
      Tile to = TestTiles.empty(arena, TARGETS.get(4), 3, 100);
      assertThatThrownBy(() -> Transcoder.transcode(vector, from, to, arena.allocate(64)))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("scratch of 64 bytes");
    }
  }

  @Test
  void scratchOfAWholeModelsRowsStaysInTheCache() {
    Encoding int8 = TARGETS.get(6);
    assertThat(Transcoder.scratchBytes(FP8, int8, 7168)).isLessThan(600 << 10);
    assertThat(Transcoder.scratchBytes(new Encoding.Plain(BF16), FP8, 7168)).isLessThan(16 << 10);
    assertThat(Transcoder.scratchBytes(FP8, new Encoding.Channel(I8, F32), 18432))
        .isLessThan(80 << 10);
    assertThat(FP8.scaleShape(Shape.of(576, 7168))).contains(Shape.of(5, 56));
  }

  /// Runs with exactly the scratch memory that was asked for, full of what was there before.
  private static void transcode(Kernels kernels, Tile from, Tile to, Arena arena) {
    long bytes = Transcoder.scratchBytes(from.encoding(), to.encoding(), from.cols());
    Transcoder.transcode(kernels, from, to, arena.allocate(bytes).fill((byte) 0xFF));
    TestTiles.assertGuards(to);
  }
}
