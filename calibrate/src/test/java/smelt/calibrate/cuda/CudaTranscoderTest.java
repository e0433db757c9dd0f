package smelt.calibrate.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.ResourceLock;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import smelt.formats.ElementType;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.KernelSet;
import smelt.formats.codec.Kernels;
import smelt.formats.codec.NonFiniteException;
import smelt.formats.codec.ScaleFormat;
import smelt.formats.codec.Tile;
import smelt.formats.codec.Transcoder;

/// The codec kernels, run by the processor from the sources that are compiled for the device,
/// against the scalar kernels.
@ResourceLock(FakeDriver.LOCK)
class CudaTranscoderTest {

  private static final Kernels SCALAR = KernelSet.choose("scalar");
  private static final Encoding BF16 = new Encoding.Plain(ElementType.BF16);
  private static final Encoding F32 = new Encoding.Plain(ElementType.F32);
  private static final Encoding INT8 = new Encoding.Channel(ElementType.I8, ElementType.F32);
  private static final Encoding E4M3 = Encoding.fp8Block(ScaleFormat.FLOAT);

  private static CudaDevice device;
  private static CudaTranscoder transcoder;

  @BeforeAll
  static void open() throws IOException, InterruptedException {
    device = FakeDriver.device();
    transcoder = new CudaTranscoder(device, 2);
  }

  @AfterAll
  static void close() throws IOException, InterruptedException {
    if (device != null) {
      transcoder.close();
      device.close();
      FakeDriver driver = FakeDriver.fresh();
      for (String kind : List.of("blocks", "streams", "pinned", "modules", "contexts")) {
        assertThat(driver.count(kind)).as(kind).isZero();
      }
      assertThat(driver.count("overruns")).isZero();
    }
  }

  private static Stream<Arguments> pairs() {
    return DeviceTiles.sources().stream()
        .flatMap(from -> DeviceTiles.targets().stream().map(to -> Arguments.of(from, to)));
  }

  @ParameterizedTest
  @MethodSource("pairs")
  void givesTheBytesOfTheScalarKernels(Encoding from, Encoding to) {
    if (Transcoder.copies(from, to)) {
      assertThat(transcoder.supports(from, to)).isFalse();
      return;
    }
    assertThat(transcoder.supports(from, to)).isTrue();
    Random random = new Random(7);
    for (long[] shape : new long[][] {{136, 256}, {65, 99}, {1, 1}, {3, 600}}) {
      try (Arena arena = Arena.ofConfined()) {
        same(DeviceTiles.random(arena, from, shape[0], shape[1], random), to, arena);
      }
    }
  }

  /// Transcodes on both, and compares all of the memory.
  private static Tile same(Tile from, Encoding to, Arena arena) {
    Tile expected = DeviceTiles.empty(arena, to, from.rows(), from.cols());
    Tile found = DeviceTiles.empty(arena, to, from.rows(), from.cols());
    MemorySegment scratch =
        arena.allocate(Transcoder.scratchBytes(from.encoding(), to, from.cols()));
    Transcoder.transcode(SCALAR, from, expected, scratch);
    transcoder.transcode(from, found);
    assertThat(found.codes().mismatch(expected.codes())).as("codes").isEqualTo(-1);
    assertThat(found.scales().mismatch(expected.scales())).as("scales").isEqualTo(-1);
    return found;
  }

  @Test
  void decodesEveryCode() {
    try (Arena arena = Arena.ofConfined()) {
      for (ElementType type : List.of(ElementType.F8_E4M3, ElementType.F8_E5M2, ElementType.I8)) {
        Encoding from = new Encoding.Block(type, 1, 8, ElementType.F32, ScaleFormat.FLOAT);
        Tile tile = DeviceTiles.empty(arena, from, 1, 256);
        for (int code = 0; code < 256; code++) {
          byte finite = isFinite(type, code) ? (byte) code : 0;
          tile.codes().set(ValueLayout.JAVA_BYTE, tile.codesOffset() + code, finite);
        }
        for (int i = 0; i < 32; i++) {
          DeviceTiles.setScale(tile, ElementType.F32, i, (float) Math.pow(3.1, -i - 40));
        }
        same(tile, F32, arena);
        same(tile, BF16, arena);
      }
    }
  }

  private static boolean isFinite(ElementType type, int code) {
    return switch (type) {
      case F8_E4M3 -> (code & 0x7F) != 0x7F;
      case F8_E5M2 -> (code & 0x7C) != 0x7C;
      default -> true;
    };
  }

  @Test
  void readsEveryFiniteNumberOfSixteenBits() {
    try (Arena arena = Arena.ofConfined()) {
      for (ElementType type : List.of(ElementType.BF16, ElementType.F16)) {
        int exponent = type == ElementType.BF16 ? 0x7F80 : 0x7C00;
        Tile tile = DeviceTiles.empty(arena, new Encoding.Plain(type), 256, 256);
        for (int code = 0; code < 65536; code++) {
          short finite = (code & exponent) == exponent ? 0 : (short) code;
          tile.codes().set(DeviceTiles.U16, tile.codesOffset() + 2L * code, finite);
        }
        same(tile, F32, arena);
        for (Encoding to : DeviceTiles.targets()) {
          if (!Transcoder.copies(tile.encoding(), to)) {
            same(tile, to, arena);
          }
        }
      }
    }
  }

  /// Halves of the last place, the ends of the ranges, subnormals, and numbers with random bits.
  @Test
  void roundsAsTheScalarKernelsDo() {
    Random random = new Random(11);
    try (Arena arena = Arena.ofConfined()) {
      for (Encoding to : DeviceTiles.targets()) {
        if (to.equals(F32)) {
          continue;
        }
        Tile tile = DeviceTiles.empty(arena, F32, 130, 256);
        for (long i = 0; i < 130 * 256; i++) {
          tile.codes().set(DeviceTiles.F32, tile.codesOffset() + 4 * i, number(i, random));
        }
        same(tile, to, arena);
      }
    }
  }

  /// Rows are of different sizes, so that some scales are subnormal quotients.
  private static float number(long i, Random random) {
    int row = (int) (i / 256);
    float size = Math.scalb(1f, -149 + 2 * row);
    float x =
        switch ((int) (i % 4)) {
          case 0 -> random.nextInt(255) - 127;
          case 1 -> random.nextInt(254) - 126.5f;
          case 2 -> Math.scalb(random.nextInt(33) - 16f, -random.nextInt(14));
          default -> random.nextFloat() - 0.5f;
        };
    float number = i % 256 == 0 ? 127 * size : x * size;
    return Float.isFinite(number) ? number : 0;
  }

  @Test
  void refusesTheFirstWeightThatIsNotFinite() {
    for (Encoding to : List.of(E4M3, INT8, F32)) {
      try (Arena arena = Arena.ofConfined()) {
        Tile tile = DeviceTiles.random(arena, BF16, 150, 264, new Random(3));
        set(tile, 149, 3, 0x7F80);
        set(tile, 130, 263, 0xFFC1);
        set(tile, 131, 0, 0x7FC0);
        refusedAlike(tile, to, arena);
      }
    }
  }

  @Test
  void refusesWhatBecomesInfinite() {
    try (Arena arena = Arena.ofConfined()) {
      Tile tile = DeviceTiles.random(arena, F32, 9, 40, new Random(5));
      tile.codes().set(DeviceTiles.F32, tile.codesOffset() + 4 * 77, 3.4e38f);
      refusedAlike(tile, BF16, arena);
    }
  }

  @Test
  void refusesTheFirstUnfitScaleBeforeAnyWeight() {
    for (float unfit : new float[] {0, -0f, -1, Float.NaN, Float.POSITIVE_INFINITY}) {
      try (Arena arena = Arena.ofConfined()) {
        Tile tile = DeviceTiles.random(arena, E4M3, 300, 300, new Random(5));
        tile.codes().set(ValueLayout.JAVA_BYTE, tile.codesOffset(), (byte) 0x7F);
        DeviceTiles.setScale(tile, ElementType.F32, 8, unfit);
        DeviceTiles.setScale(tile, ElementType.F32, 5, unfit);
        refusedAlike(tile, BF16, arena);
        refusedAlike(tile, INT8, arena);
      }
    }
  }

  private static void set(Tile tile, long row, long col, int code) {
    long at = tile.codesOffset() + 2 * (row * tile.cols() + col);
    tile.codes().set(DeviceTiles.U16, at, (short) code);
  }

  private static void refusedAlike(Tile from, Encoding to, Arena arena) {
    Tile out = DeviceTiles.empty(arena, to, from.rows(), from.cols());
    MemorySegment scratch =
        arena.allocate(Transcoder.scratchBytes(from.encoding(), to, from.cols()));
    NonFiniteException expected = refusal(() -> Transcoder.transcode(SCALAR, from, out, scratch));
    NonFiniteException found = refusal(() -> transcoder.transcode(from, out));
    assertThat(found.place()).isEqualTo(expected.place());
    assertThat(Float.floatToRawIntBits(found.value()))
        .isEqualTo(Float.floatToRawIntBits(expected.value()));
  }

  private static NonFiniteException refusal(Runnable work) {
    try {
      work.run();
    } catch (NonFiniteException e) {
      return e;
    }
    throw new AssertionError("nothing was refused");
  }

  @Test
  void refusesMemoryOnTheHeap() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment heap = MemorySegment.ofArray(new byte[64]);
      Tile tile = Tile.plain(ElementType.BF16, heap, 0, 4, 8);
      Tile out = DeviceTiles.empty(arena, INT8, 4, 8);
      assertThatThrownBy(() -> transcoder.transcode(tile, out))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("heap");
    }
  }
}
