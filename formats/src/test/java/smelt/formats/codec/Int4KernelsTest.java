package smelt.formats.codec;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// What every set of kernels must do with 4-bit codes, to the byte.
class Int4KernelsTest {

  private static final Kernels SCALAR = KernelSet.choose("scalar");
  private static final byte GUARD = (byte) 0xA5;
  private static final int GUARDED = 67;

  static Stream<Kernels> kernels() {
    return Stream.of(SCALAR, KernelSet.choose("vector"));
  }

  @ParameterizedTest
  @MethodSource("kernels")
  void decodesEveryPairOfCodes(Kernels kernels) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment codes = guarded(arena, 256);
      for (int i = 0; i < 256; i++) {
        codes.set(Layouts.U8, GUARDED + i, (byte) i);
      }
      for (float scale : new float[] {1f, 0.1f, 3.7e-5f, Float.MIN_NORMAL, 1e38f}) {
        MemorySegment out = guarded(arena, 4 * 512);
        kernels.decodeInt4(codes, GUARDED, scales(arena, scale), 0, 512, out, GUARDED, 512);
        for (int i = 0; i < 512; i++) {
          int stored = i % 2 == 0 ? i / 2 % 16 : i / 2 / 16;
          float expected = (float) ((stored - 8) * (double) scale);
          assertThat(out.get(Layouts.F32, GUARDED + 4L * i)).isEqualTo(expected);
        }
        assertGuards(out);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("kernels")
  void encodesHalfToEvenAroundEveryCodeAndNeverMinusEight(Kernels kernels) {
    float[] in = new float[4 * 24];
    int n = 0;
    for (int code = -12; code < 12; code++) {
      float middle = code + 0.5f;
      for (float x : new float[] {code, Math.nextDown(middle), middle, Math.nextUp(middle)}) {
        in[n++] = x * 0.25f;
      }
    }
    try (Arena arena = Arena.ofConfined()) {
      byte[] out = encode(kernels, arena, in, 0.25f);
      for (int i = 0; i < in.length; i++) {
        int stored = out[i / 2] >>> (i % 2 * 4) & 15;
        int expected = Math.clamp(Oracle.encodeInt8(in[i], 0.25f), -7, 7) + 8;
        assertThat(stored).as("x = %s", in[i]).isEqualTo(expected);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("kernels")
  void equalsTheDefinitionAtEverySizeOffsetAndBlock(Kernels kernels) {
    Random random = new Random(17);
    for (int count : new int[] {0, 2, 8, 14, 16, 18, 32, 34, 62, 64, 128, 130, 1000}) {
      for (int block : new int[] {2, 8, 32, 100, 128, 4096}) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
          values[i] = (float) (random.nextGaussian() * Math.exp(random.nextGaussian() * 3));
        }
        try (Arena arena = Arena.ofConfined()) {
          assertSame(run(kernels, arena, values, block, 1), run(SCALAR, arena, values, block, 0));
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("kernels")
  void searchFindsTheBestOfAllBf16Numbers(Kernels kernels) {
    Random random = new Random(23);
    for (int trial = 0; trial < 60; trial++) {
      int count = trial % 3 == 0 ? 128 : 32;
      float[] group = group(random, trial, count);
      float found = search(kernels, group);
      double least = Double.POSITIVE_INFINITY;
      for (int bits = 0x0080; bits < 0x7F80; bits++) {
        least = Math.min(least, error(group, Int4Search.scale(bits)));
      }
      // The sums of the search are F32.
      assertThat(error(group, found)).as("trial %d", trial).isLessThanOrEqualTo(least * (1 + 1e-5));
    }
  }

  @ParameterizedTest
  @MethodSource("kernels")
  void searchRecoversTheScaleOfCodesWhicheverIsTheLargest(Kernels kernels) {
    Random random = new Random(29);
    for (int largest = 1; largest <= 7; largest++) {
      float scale = Scalars.decodeBf16(Scalars.encodeBf16(0.01f + random.nextFloat()));
      float[] group = new float[32];
      for (int i = 0; i < 32; i++) {
        group[i] = scale * (random.nextInt(2 * largest + 1) - largest);
      }
      group[7] = -scale * largest;
      group[8] = scale;
      float found = search(kernels, group);
      assertThat(error(group, found)).as("codes to %d", largest).isZero();
    }
  }

  @ParameterizedTest
  @MethodSource("kernels")
  void searchStaysAmongNormalNumbersAtTheEndsOfTheRange(Kernels kernels) {
    for (float x : new float[] {Float.MIN_VALUE, 1e-40f, 1e-38f, 1e-20f, 1e20f, 3.4e38f}) {
      float[] group = new float[32];
      group[3] = x;
      group[30] = -x / 3;
      float scale = search(kernels, group);
      assertThat(scale).isBetween(Float.MIN_NORMAL, Scalars.decodeBf16((short) 0x7F7F));
      assertThat(scale).isEqualTo(search(SCALAR, group));
    }
    assertThat(search(kernels, new float[32])).isEqualTo(1f);
  }

  @Test
  void countsTheCodeMinusEightWhereverItIs() {
    Random random = new Random(31);
    for (int bytes = 0; bytes < 40; bytes++) {
      byte[] codes = new byte[bytes + 3];
      random.nextBytes(codes);
      long expected = 0;
      for (int i = 0; i < bytes; i++) {
        int at = random.nextInt(3) == 0 ? 0 : codes[1 + i];
        codes[1 + i] = (byte) at;
        expected += (at & 15) == 0 ? 1 : 0;
        expected += (at & 0xF0) == 0 ? 1 : 0;
      }
      assertThat(Int4Codes.countLeast(MemorySegment.ofArray(codes), 1, bytes)).isEqualTo(expected);
    }
  }

  /// Gaussian, heavy-tailed, of one outlier, and of few magnitudes.
  private static float[] group(Random random, int kind, int count) {
    float[] group = new float[count];
    for (int i = 0; i < count; i++) {
      double x = random.nextGaussian() * 0.02;
      group[i] =
          (float)
              switch (kind % 4) {
                case 0 -> x;
                case 1 -> x * Math.exp(random.nextGaussian());
                case 2 -> i == 5 ? 50 * x : x;
                default -> Math.rint(x * 200) / 64;
              };
    }
    return group;
  }

  private static double error(float[] group, float scale) {
    double error = 0;
    for (float x : group) {
      double code = Math.clamp(Math.rint((double) x / scale), -7, 7);
      error += (x - code * scale) * (x - code * scale);
    }
    return error;
  }

  private static float search(Kernels kernels, float[] group) {
    try (Arena arena = Arena.ofConfined()) {
      float absmax = 0;
      for (float x : group) {
        absmax = Math.max(absmax, Math.abs(x));
      }
      MemorySegment scales = scales(arena, absmax);
      MemorySegment in = values(arena, group, 3);
      kernels.searchInt4(in, GUARDED + 3, group.length, scales, 0, group.length);
      return scales.get(Layouts.F32, 0);
    }
  }

  /// Scales, codes and decoded codes of a run.
  private static MemorySegment[] run(
      Kernels kernels, Arena arena, float[] values, int block, int shift) {
    int count = values.length;
    MemorySegment in = values(arena, values, shift);
    MemorySegment scales = guarded(arena, 4L * Math.ceilDiv(count, block));
    scales.asSlice(GUARDED, 4L * Math.ceilDiv(count, block)).fill((byte) 0);
    kernels.absmax(in, GUARDED + shift, block, scales, GUARDED, count);
    kernels.searchInt4(in, GUARDED + shift, block, scales, GUARDED, count);
    MemorySegment codes = guarded(arena, count / 2);
    kernels.encodeInt4(in, GUARDED + shift, scales, GUARDED, block, codes, GUARDED, count);
    MemorySegment back = guarded(arena, 4L * count);
    kernels.decodeInt4(codes, GUARDED, scales, GUARDED, block, back, GUARDED, count);
    MemorySegment[] all = {scales, codes, back};
    for (MemorySegment memory : all) {
      assertGuards(memory);
    }
    return all;
  }

  private static void assertSame(MemorySegment[] actual, MemorySegment[] expected) {
    for (int i = 0; i < expected.length; i++) {
      assertThat(actual[i].mismatch(expected[i])).as("part %d", i).isEqualTo(-1);
    }
  }

  private static byte[] encode(Kernels kernels, Arena arena, float[] values, float scale) {
    MemorySegment out = guarded(arena, values.length / 2);
    MemorySegment in = values(arena, values, 1);
    int count = values.length;
    kernels.encodeInt4(in, GUARDED + 1, scales(arena, scale), 0, count, out, GUARDED, count);
    assertGuards(out);
    return out.asSlice(GUARDED, count / 2).toArray(Layouts.U8);
  }

  private static MemorySegment scales(Arena arena, float scale) {
    MemorySegment scales = arena.allocate(4);
    scales.set(Layouts.F32, 0, scale);
    return scales;
  }

  private static MemorySegment values(Arena arena, float[] values, int shift) {
    MemorySegment in = guarded(arena, 4L * values.length + shift);
    for (int i = 0; i < values.length; i++) {
      in.set(Layouts.F32, GUARDED + shift + 4L * i, values[i]);
    }
    return in;
  }

  private static MemorySegment guarded(Arena arena, long bytes) {
    return arena.allocate(bytes + 2 * GUARDED).fill(GUARD);
  }

  private static void assertGuards(MemorySegment memory) {
    for (int i = 0; i < GUARDED; i++) {
      assertThat(memory.get(Layouts.U8, i)).isEqualTo(GUARD);
      assertThat(memory.get(Layouts.U8, memory.byteSize() - 1 - i)).isEqualTo(GUARD);
    }
  }
}
