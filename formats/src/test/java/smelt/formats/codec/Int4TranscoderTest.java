package smelt.formats.codec;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static smelt.formats.ElementType.BF16;
import static smelt.formats.ElementType.F16;
import static smelt.formats.ElementType.F32;
import static smelt.formats.ElementType.F8_E4M3;
import static smelt.formats.ElementType.F8_E5M2;
import static smelt.formats.ElementType.I8;

import java.lang.foreign.Arena;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import smelt.formats.Shape;

class Int4TranscoderTest {

  private static final Encoding.Int4 OURS = new Encoding.Int4(32, BF16, -7);
  private static final Encoding.Int4 THEIRS = new Encoding.Int4(32, BF16, -8);

  private final Kernels scalar = KernelSet.choose("scalar");
  private final Kernels vector = KernelSet.choose("vector");

  static Stream<Encoding> sources() {
    return Stream.of(
        new Encoding.Plain(BF16),
        new Encoding.Plain(F16),
        new Encoding.Plain(F32),
        Encoding.fp8Block(ScaleFormat.FLOAT),
        new Encoding.Block(F8_E5M2, 64, 100, BF16, ScaleFormat.FLOAT),
        new Encoding.Channel(F8_E4M3, F32),
        new Encoding.Channel(I8, BF16),
        new Encoding.Int4(64, BF16, -8),
        new Encoding.Int4(32, F16, -8),
        new Encoding.Int4(32, F32, -8));
  }

  @ParameterizedTest
  @MethodSource("sources")
  void everySourceIsRoundedOnceToTheNearestCodesOfItsScale(Encoding source) {
    for (Encoding.Int4 target : List.of(OURS, new Encoding.Int4(128, BF16, -8))) {
      for (Int4Scales rule : Int4Scales.values()) {
        for (long cols : new long[] {0, 128, 256, 1152}) {
          check(source, target, rule, cols);
        }
      }
    }
  }

  private void check(Encoding source, Encoding.Int4 target, Int4Scales rule, long cols) {
    try (Arena arena = Arena.ofConfined()) {
      Tile from = TestTiles.random(arena, source, 3, cols, new Random(cols));
      Tile first = TestTiles.empty(arena, target, 3, cols);
      Tile second = TestTiles.empty(arena, target, 3, cols);
      transcode(scalar, from, first, rule, arena);
      transcode(vector, from, second, rule, arena);
      TestTiles.assertSame(second, first, source + " to " + target);
      for (long row = 0; row < 3; row++) {
        for (long col = 0; col < cols; col++) {
          float scale = TestTiles.scale(first, (row * cols + col) / target.group());
          int nearest = Oracle.encodeInt8(NaiveTranscoder.value(from, row, col), scale);
          float expected = Math.clamp(nearest, -7, 7) * scale;
          assertThat(NaiveTranscoder.value(first, row, col)).isEqualTo(expected);
        }
      }
      if (rule == Int4Scales.ABSMAX) {
        assertAbsmaxScales(from, first, target.group());
      }
    }
  }

  private static void assertAbsmaxScales(Tile from, Tile to, int group) {
    for (long g = 0; g < to.scaleCount(); g++) {
      float absmax = 0;
      for (long i = g * group; i < (g + 1) * group; i++) {
        float x = NaiveTranscoder.value(from, i / from.cols(), i % from.cols());
        absmax = Math.max(absmax, Math.abs(x));
      }
      int expected = absmax == 0 ? 0x3F80 : Oracle.encodeBf16((float) (absmax / 7.0));
      assertThat(Float.floatToRawIntBits(TestTiles.scale(to, g)) >>> 16).isEqualTo(expected);
    }
  }

  @Test
  void leastErrorIsNeverWorseThanAbsmaxAndSavesHalfADecibelOnGaussianGroups() {
    try (Arena arena = Arena.ofConfined()) {
      Tile from = TestTiles.random(arena, new Encoding.Plain(F32), 64, 1024, new Random(4));
      Tile best = TestTiles.empty(arena, OURS, 64, 1024);
      Tile absmax = TestTiles.empty(arena, OURS, 64, 1024);
      transcode(vector, from, best, Int4Scales.LEAST_ERROR, arena);
      transcode(vector, from, absmax, Int4Scales.ABSMAX, arena);
      double gain = 10 * Math.log10(squaredError(from, absmax) / squaredError(from, best));
      assertThat(gain).isBetween(0.5, 0.7);
    }
  }

  private static double squaredError(Tile from, Tile to) {
    double sum = 0;
    for (long row = 0; row < from.rows(); row++) {
      for (long col = 0; col < from.cols(); col++) {
        double d =
            NaiveTranscoder.value(from, row, col) - (double) NaiveTranscoder.value(to, row, col);
        sum += d * d;
      }
    }
    return sum;
  }

  @ParameterizedTest
  @EnumSource(Int4Scales.class)
  void groupsWithoutMinusEightAreCopiedAndOnlyTheOthersRoundedAnew(Int4Scales rule) {
    try (Arena arena = Arena.ofConfined()) {
      Tile from = TestTiles.random(arena, THEIRS, 40, 320, new Random(6));
      Tile to = TestTiles.empty(arena, OURS, 40, 320);
      transcode(vector, from, to, rule, arena);
      int copied = 0;
      for (long g = 0; g < from.scaleCount(); g++) {
        long at = from.codesOffset() + 16 * g;
        boolean least = Int4Codes.countLeast(from.codes(), at, 16) > 0;
        long differs = from.codes().asSlice(at, 16).mismatch(to.codes().asSlice(at, 16));
        assertThat(Int4Codes.countLeast(to.codes(), at, 16)).isZero();
        if (!least) {
          assertThat(differs).isEqualTo(-1);
          assertThat(TestTiles.scale(to, g)).isEqualTo(TestTiles.scale(from, g));
          copied++;
        } else {
          assertThat(differs).isNotEqualTo(-1);
        }
      }
      assertThat(copied).isBetween(1, 399);
    }
  }

  @Test
  void equalEncodingsAreCopiedWithTheCodeMinusEight() {
    try (Arena arena = Arena.ofConfined()) {
      Tile from = TestTiles.random(arena, THEIRS, 5, 320, new Random(6));
      Tile to = TestTiles.empty(arena, THEIRS, 5, 320);
      transcode(vector, from, to, Int4Scales.LEAST_ERROR, arena);
      TestTiles.assertSame(to, from, "copy");
    }
  }

  @Test
  void cuttingATensorIntoTilesChangesNothing() {
    try (Arena arena = Arena.ofConfined()) {
      Encoding source = new Encoding.Plain(BF16);
      Tile from = TestTiles.random(arena, source, 7, 2176, new Random(3));
      Tile whole = TestTiles.empty(arena, OURS, 7, 2176);
      Tile pieces = TestTiles.empty(arena, OURS, 7, 2176);
      transcode(vector, from, whole, Int4Scales.LEAST_ERROR, arena);
      for (long row = 0; row < 7; row += 3) {
        long n = Math.min(3, 7 - row);
        Tile part = TestTiles.rows(pieces, row, n);
        transcode(vector, TestTiles.rows(from, row, n), part, Int4Scales.LEAST_ERROR, arena);
      }
      TestTiles.assertSame(pieces, whole, "pieces");
    }
  }

  @Test
  void codesBecomeTheOtherEncodingsToo() {
    try (Arena arena = Arena.ofConfined()) {
      Tile from = TestTiles.random(arena, THEIRS, 130, 320, new Random(8));
      for (Encoding target :
          List.of(
              new Encoding.Plain(BF16),
              new Encoding.Plain(F32),
              Encoding.fp8Block(ScaleFormat.FLOAT),
              new Encoding.Channel(I8, F32))) {
        Tile expected = TestTiles.empty(arena, target, 130, 320);
        NaiveTranscoder.transcode(from, expected);
        for (Kernels kernels : List.of(scalar, vector)) {
          Tile to = TestTiles.empty(arena, target, 130, 320);
          transcode(kernels, from, to, Int4Scales.LEAST_ERROR, arena);
          TestTiles.assertSame(to, expected, "int4 to " + target);
        }
      }
    }
  }

  @Test
  void namesANanAndAScaleThatIsNone() {
    try (Arena arena = Arena.ofConfined()) {
      Tile from = TestTiles.random(arena, new Encoding.Plain(BF16), 3, 2176, new Random(3));
      TestTiles.plantNan(from, 2, 2175);
      Tile to = TestTiles.empty(arena, OURS, 3, 2176);
      assertThatThrownBy(() -> transcode(vector, from, to, Int4Scales.LEAST_ERROR, arena))
          .isInstanceOf(NonFiniteException.class)
          .hasMessageContaining("row 2, column 2175");
      Tile codes = TestTiles.random(arena, THEIRS, 3, 320, new Random(3));
      TestTiles.setScale(codes, 11, 0f);
      for (Encoding target : List.of(OURS, THEIRS, new Encoding.Plain(BF16))) {
        Tile out = TestTiles.empty(arena, target, 3, 320);
        assertThatThrownBy(() -> transcode(vector, codes, out, Int4Scales.ABSMAX, arena))
            .isInstanceOf(NonFiniteException.class)
            .hasMessageContaining("decode scale 11");
      }
    }
  }

  @Test
  void shapesAndBytesAreThoseOfTheFormat() {
    Shape down = Shape.of(7168, 2048);
    assertThat(OURS.codeShape(down)).isEqualTo(Shape.of(7168, 256));
    assertThat(OURS.weightShape(Shape.of(7168, 256))).isEqualTo(down);
    assertThat(OURS.scaleShape(down)).contains(Shape.of(7168, 64));
    assertThat(OURS.codeBytes(down.elements())).isEqualTo(7168L * 1024);
    assertThatThrownBy(() -> OURS.scaleShape(Shape.of(1, 48)))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> new Encoding.Int4(12, BF16, -8))
        .isInstanceOf(IllegalArgumentException.class);
  }

  private static void transcode(Kernels kernels, Tile from, Tile to, Int4Scales rule, Arena arena) {
    long bytes = Transcoder.scratchBytes(from.encoding(), to.encoding(), from.cols());
    Transcoder.transcode(kernels, from, to, rule, arena.allocate(bytes).fill((byte) 0xFF));
    TestTiles.assertGuards(to);
  }
}
