package smelt.formats.codec;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Random;
import java.util.function.IntToDoubleFunction;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/// What every set of kernels must do, to the byte.
abstract class KernelsContract {

  /// Ordinary ones, a power of two, and those at the ends of the range of floats.
  private static final float[] SCALES = {
    1f,
    0.1f,
    3.7e-5f,
    0x1p-9f,
    77f,
    0x1p-80f,
    0x1p100f,
    1e-36f,
    Float.MIN_NORMAL,
    1e-42f,
    1e30f,
    Float.MAX_VALUE
  };

  private static final int[] COUNTS = {
    0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 95, 127, 128, 129, 255, 257,
    1000
  };

  private static final byte GUARD = (byte) 0xA5;
  private static final int GUARDED = 67;

  abstract Kernels kernels();

  @ParameterizedTest
  @EnumSource(
      value = Codec.class,
      names = {"DECODE_E4M3", "DECODE_E5M2", "DECODE_INT8"})
  void decodesAll256CodesToTheExactProductRoundedOnce(Codec codec) {
    IntToDoubleFunction value =
        switch (codec) {
          case DECODE_E4M3 -> Oracle::e4m3;
          case DECODE_E5M2 -> Oracle::e5m2;
          default -> code -> (byte) code;
        };
    byte[] codes = bytes(256, i -> i);
    for (float scale : SCALES) {
      int[] bits = ints(run(codec, codes, scale));
      for (int code = 0; code < 256; code++) {
        int expected = bits(value.applyAsDouble(code) * scale, (code & 0x80) != 0);
        assertThat(bits[code]).as("code %d, scale %s", code, scale).isEqualTo(expected);
      }
    }
  }

  @Test
  void decodesAllE4m3CodesToBf16RoundingToF32First() {
    byte[] codes = bytes(256, i -> i);
    for (float scale : SCALES) {
      short[] out = shorts(run(Codec.DECODE_E4M3_TO_BF16, codes, scale));
      for (int code = 0; code < 256; code++) {
        float product = (float) (Oracle.e4m3(code) * scale);
        int expected =
            Float.isNaN(product)
                ? ((code << 8) & 0x8000) | 0x7FC0
                : Float.isInfinite(product)
                    ? ((code << 8) & 0x8000) | 0x7F80
                    : Oracle.encodeBf16(product);
        assertThat(out[code] & 0xFFFF).as("code %d, scale %s", code, scale).isEqualTo(expected);
      }
    }
  }

  @Test
  void decodesAll65536Bf16Bits() {
    int[] bits = ints(run(Codec.DECODE_BF16, every16BitCode(), 1f));
    for (int code = 0; code < 65536; code++) {
      assertThat(bits[code]).isEqualTo(code << 16);
      double value = Float.intBitsToFloat(bits[code]);
      assertThat(value).isEqualTo(Double.valueOf(Oracle.bf16(code)));
    }
  }

  @Test
  void decodesAll65536F16Values() {
    int[] bits = ints(run(Codec.DECODE_F16, every16BitCode(), 1f));
    for (int code = 0; code < 65536; code++) {
      double expected = Oracle.f16(code);
      if (Double.isNaN(expected)) {
        int payload = (code & 0x3FF) << 13;
        assertThat(bits[code]).isEqualTo(((code & 0x8000) << 16) | 0x7FC00000 | payload);
      } else {
        assertThat(bits[code]).isEqualTo(Float.floatToRawIntBits((float) expected));
      }
    }
  }

  @Test
  void encodesBf16HalfToEvenAroundEveryCode() {
    int[] in = new int[4 * 0x7F80 * 2];
    int n = 0;
    for (int code = 0; code < 0x7F80; code++) {
      int low = code << 16;
      for (int bits : new int[] {low, low + 0x7FFF, low + 0x8000, low + 0x8001}) {
        in[n++] = bits;
        in[n++] = bits | 0x80000000;
      }
    }
    short[] out = shorts(run(Codec.ENCODE_BF16, bytes(in), 1f));
    for (int i = 0; i < n; i++) {
      assertThat(out[i] & 0xFFFF).isEqualTo(Oracle.encodeBf16(Float.intBitsToFloat(in[i])));
    }
  }

  @Test
  void encodesBf16NanQuietlyAndInfinityAsItself() {
    int[] in = {0x7F800001, 0xFF800001, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FC01234, 0x7F800000, 0xFF800000};
    int[] many = Arrays.copyOf(in, 64);
    System.arraycopy(in, 0, many, 40, in.length);
    short[] out = shorts(run(Codec.ENCODE_BF16, bytes(many), 1f));
    short[] expected = {
      0x7FC0, (short) 0xFFC0, 0x7FC0, (short) 0xFFC0, 0x7FC0, 0x7F80, (short) 0xFF80
    };
    assertThat(Arrays.copyOf(out, in.length)).isEqualTo(expected);
    assertThat(Arrays.copyOfRange(out, 40, 40 + in.length)).isEqualTo(expected);
  }

  @Test
  void encodesE4m3HalfToEvenAroundEveryCode() {
    float[] in = new float[127 * 8];
    int n = 0;
    for (int code = 0; code < 127; code++) {
      double low = Oracle.e4m3(code);
      double high = code == 126 ? 480 : Oracle.e4m3(code + 1);
      float middle = (float) ((low + high) / 2);
      for (float x :
          new float[] {(float) low, Math.nextDown(middle), middle, Math.nextUp(middle)}) {
        in[n++] = x;
        in[n++] = -x;
      }
    }
    byte[] out = run(Codec.ENCODE_E4M3, bytes(in), 1f);
    for (int i = 0; i < n; i++) {
      assertThat(out[i] & 0xFF).as("x = %s", in[i]).isEqualTo(Oracle.encodeE4m3(in[i], 1f));
    }
  }

  @Test
  void encodesInt8HalfToEvenAroundEveryCodeAndNeverMinus128() {
    float[] in = new float[260 * 4];
    int n = 0;
    for (int code = -130; code < 130; code++) {
      float middle = code + 0.5f;
      for (float x : new float[] {code, Math.nextDown(middle), middle, Math.nextUp(middle)}) {
        in[n++] = x;
      }
    }
    byte[] out = run(Codec.ENCODE_INT8, bytes(in), 1f);
    for (int i = 0; i < n; i++) {
      assertThat((int) out[i]).as("x = %s", in[i]).isEqualTo(Oracle.encodeInt8(in[i], 1f));
    }
    assertThat(out).doesNotContain(-128);
  }

  @Test
  void saturatesAndKeepsTheSignOfZero() {
    float max = Float.MAX_VALUE;
    float[] in = {
      0f, -0f, max, -max, 448, -448, 464, -464, 465, -465, 1e-30f, -1e-30f, 127.5f, -1e6f
    };
    byte[] e4m3 = run(Codec.ENCODE_E4M3, bytes(Arrays.copyOf(in, 64)), 1f);
    byte[] int8 = run(Codec.ENCODE_INT8, bytes(Arrays.copyOf(in, 64)), 1f);
    assertThat(Arrays.copyOf(e4m3, in.length))
        .isEqualTo(new byte[] {0, -128, 0x7E, -2, 0x7E, -2, 0x7E, -2, 0x7E, -2, 0, -128, 0x70, -2});
    assertThat(Arrays.copyOf(int8, in.length))
        .isEqualTo(new byte[] {0, 0, 127, -127, 127, -127, 127, -127, 127, -127, 0, 0, 127, -127});
  }

  @ParameterizedTest
  @ValueSource(floats = {1f, 0.1f, 3.7e-5f, 0x1p-9f, 0x1p-80f, 1e-36f, 1e-42f, 1e30f, 0x1p120f})
  void encodesEveryFiniteBf16(float scale) {
    byte[] codes = everyFiniteBf16();
    float[] values = floats(run(Codec.DECODE_BF16, codes, 1f));
    byte[] e4m3 = run(Codec.ENCODE_E4M3, bytes(values), scale);
    byte[] int8 = run(Codec.ENCODE_INT8, bytes(values), scale);
    for (int i = 0; i < values.length; i++) {
      assertThat(e4m3[i] & 0xFF)
          .as("%s / %s", values[i], scale)
          .isEqualTo(Oracle.encodeE4m3(values[i], scale));
      assertThat((int) int8[i])
          .as("%s / %s", values[i], scale)
          .isEqualTo(Oracle.encodeInt8(values[i], scale));
    }
    assertThat(run(Codec.ENCODE_E4M3_FROM_BF16, codes, scale)).isEqualTo(e4m3);
    assertThat(run(Codec.ENCODE_INT8_FROM_BF16, codes, scale)).isEqualTo(int8);
  }

  @ParameterizedTest
  @EnumSource(Codec.class)
  void equalsTheDefinitionAtEverySizeOffsetAndBlockAndTouchesNothingElse(Codec codec) {
    Random random = new Random(7);
    for (int count : COUNTS) {
      for (int block : new int[] {1, 5, 32, 100, 128, 4096}) {
        byte[] in = input(codec, random, count);
        float[] scales = new float[Math.ceilDiv(count, block)];
        for (int i = 0; i < scales.length; i++) {
          scales[i] = (float) Math.exp(random.nextGaussian() * 4 - 4);
        }
        byte[] out = run(kernels(), codec, in, bytes(scales), block, 1 + count % 7);
        byte[] expected = run(new ScalarKernels(), codec, in, bytes(scales), block, 0);
        assertThat(out).as("count %d, block %d", count, block).isEqualTo(expected);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void findsTheLargestMagnitudeOfEachBlock(boolean bf16) {
    Random random = new Random(11);
    for (int count : COUNTS) {
      for (int block : new int[] {1, 5, 32, 100, 128, 4096}) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
          values[i] = Scalars.decodeBf16(Scalars.encodeBf16((float) random.nextGaussian()));
        }
        float[] expected = new float[Math.ceilDiv(count, block)];
        Arrays.fill(expected, 0.5f);
        for (int i = 0; i < count; i++) {
          expected[i / block] = Math.max(expected[i / block], Math.abs(values[i]));
        }
        assertThat(absmax(values, bf16, block, 0.5f)).isEqualTo(expected);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void largestMagnitudeShowsInfinityAndNanWhereverTheyAre(boolean bf16) {
    for (int at = 0; at < 131; at++) {
      float[] values = new float[131];
      Arrays.fill(values, -3f);
      values[at] = Float.NEGATIVE_INFINITY;
      assertThat(absmax(values, bf16, 131, 0f)).containsExactly(Float.POSITIVE_INFINITY);
      values[(at + 5) % 131] = Float.NaN;
      assertThat(absmax(values, bf16, 131, 0f)).containsExactly(Float.NaN);
      assertThat(absmax(new float[at + 1], bf16, 131, Float.NaN)).containsOnly(Float.NaN);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void raisesMagnitudesWhereTheValueIsLarger(boolean bf16) {
    Random random = new Random(13);
    for (int count : COUNTS) {
      int[] values = random.ints(count).toArray();
      int[] maxima = random.ints(count).map(i -> i & 0x7FFFFFFF).toArray();
      int[] expected = new int[count];
      for (int i = 0; i < count; i++) {
        if (bf16) {
          values[i] &= 0xFFFF0000;
          maxima[i] &= 0x7FFF0000;
        }
        expected[i] = Math.max(maxima[i], values[i] & 0x7FFFFFFF);
      }
      try (Arena arena = Arena.ofConfined()) {
        MemorySegment in = guarded(arena, bf16 ? upperHalves(values) : bytes(values), 3);
        MemorySegment out = guarded(arena, bf16 ? upperHalves(maxima) : bytes(maxima), 1);
        if (bf16) {
          kernels().raiseBf16(in, GUARDED + 3, out, GUARDED + 1, count);
          assertThat(unguarded(out, 2 * count, 1)).isEqualTo(upperHalves(expected));
        } else {
          kernels().raise(in, GUARDED + 3, out, GUARDED + 1, count);
          assertThat(unguarded(out, 4 * count, 1)).isEqualTo(bytes(expected));
        }
      }
    }
  }

  @Test
  void seesANanCodeWhereverItIs() {
    for (int count : COUNTS) {
      byte[] codes = bytes(count, i -> i % 127);
      assertThat(anyNan(codes)).isFalse();
      for (int at = 0; at < count; at++) {
        byte was = codes[at];
        codes[at] = (byte) (at % 2 == 0 ? 0x7F : 0xFF);
        assertThat(anyNan(codes)).isTrue();
        codes[at] = was;
      }
    }
  }

  private boolean anyNan(byte[] codes) {
    try (Arena arena = Arena.ofConfined()) {
      // NaN codes around the run must not count.
      MemorySegment memory = arena.allocate(codes.length + 2L * GUARDED).fill((byte) 0x7F);
      MemorySegment.copy(MemorySegment.ofArray(codes), 0, memory, GUARDED, codes.length);
      return kernels().anyNanE4m3(memory, GUARDED, codes.length);
    }
  }

  private float[] absmax(float[] values, boolean bf16, int block, float start) {
    float[] maxima = new float[Math.ceilDiv(values.length, block)];
    Arrays.fill(maxima, start);
    try (Arena arena = Arena.ofConfined()) {
      byte[] in = bytes(values);
      MemorySegment memory = guarded(arena, bf16 ? upperHalves(ints(in)) : in, 3);
      MemorySegment out = guarded(arena, bytes(maxima), 1);
      if (bf16) {
        kernels().absmaxBf16(memory, GUARDED + 3, block, out, GUARDED + 1, values.length);
      } else {
        kernels().absmax(memory, GUARDED + 3, block, out, GUARDED + 1, values.length);
      }
      return floats(unguarded(out, maxima.length * 4, 1));
    }
  }

  private byte[] run(Codec codec, byte[] in, float scale) {
    return run(kernels(), codec, in, bytes(new float[] {scale}), Long.MAX_VALUE, 3);
  }

  /// Runs a kernel between guard bytes, at an odd offset, and checks that the guards survive.
  static byte[] run(
      Kernels kernels, Codec codec, byte[] in, byte[] scales, long block, int offset) {
    int count = in.length / codec.inWidth;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment input = guarded(arena, in, offset);
      MemorySegment scale = guarded(arena, scales, offset);
      MemorySegment output = guarded(arena, new byte[count * codec.outWidth], offset + 1);
      codec.run(
          kernels,
          new Codec.Span(input, GUARDED + offset),
          new Codec.Span(scale, GUARDED + offset),
          block,
          new Codec.Span(output, GUARDED + offset + 1),
          count);
      assertThat(unguarded(input, in.length, offset)).isEqualTo(in);
      assertThat(unguarded(scale, scales.length, offset)).isEqualTo(scales);
      return unguarded(output, count * codec.outWidth, offset + 1);
    }
  }

  private static MemorySegment guarded(Arena arena, byte[] content, int offset) {
    MemorySegment memory = arena.allocate(content.length + 2L * GUARDED + offset).fill(GUARD);
    MemorySegment.copy(MemorySegment.ofArray(content), 0, memory, GUARDED + offset, content.length);
    return memory;
  }

  private static byte[] unguarded(MemorySegment memory, int length, int offset) {
    byte[] all = memory.toArray(Layouts.U8);
    for (int i = 0; i < all.length; i++) {
      if (i < GUARDED + offset || i >= GUARDED + offset + length) {
        assertThat(all[i]).as("guard byte %d", i).isEqualTo(GUARD);
      }
    }
    return Arrays.copyOfRange(all, GUARDED + offset, GUARDED + offset + length);
  }

  /// Any bits where a decoder reads; finite values of every size where an encoder does.
  static byte[] input(Codec codec, Random random, int count) {
    byte[] in = new byte[count * codec.inWidth];
    random.nextBytes(in);
    if (codec.encodes() && codec != Codec.ENCODE_BF16) {
      for (int end = codec.inWidth - 1; end < in.length; end += codec.inWidth) {
        boolean notFinite = (in[end] & 0x7F) == 0x7F && (in[end - 1] & 0x80) != 0;
        if (notFinite) {
          in[end] = 0x3F;
        } else if (random.nextInt(4) != 0) {
          in[end] = (byte) ((in[end] & 0x80) | (0x3A + random.nextInt(9)));
        }
      }
    }
    return in;
  }

  private static int bits(double exact, boolean negative) {
    if (Double.isNaN(exact)) {
      return negative ? 0xFFC00000 : 0x7FC00000;
    }
    return Float.floatToRawIntBits((float) exact);
  }

  private static byte[] every16BitCode() {
    return bytes(2 * 65536, i -> i % 2 == 0 ? i / 2 : (i / 2) >> 8);
  }

  private static byte[] everyFiniteBf16() {
    byte[] all = every16BitCode();
    byte[] finite = new byte[2 * 2 * 0x7F80];
    System.arraycopy(all, 0, finite, 0, 2 * 0x7F80);
    System.arraycopy(all, 2 * 0x8000, finite, 2 * 0x7F80, 2 * 0x7F80);
    return finite;
  }

  private static byte[] bytes(int count, java.util.function.IntUnaryOperator value) {
    byte[] bytes = new byte[count];
    for (int i = 0; i < count; i++) {
      bytes[i] = (byte) value.applyAsInt(i);
    }
    return bytes;
  }

  static byte[] bytes(float[] values) {
    MemorySegment bytes = MemorySegment.ofArray(new byte[values.length * 4]);
    for (int i = 0; i < values.length; i++) {
      bytes.set(Layouts.F32, 4L * i, values[i]);
    }
    return bytes.toArray(Layouts.U8);
  }

  private static byte[] bytes(int[] values) {
    MemorySegment bytes = MemorySegment.ofArray(new byte[values.length * 4]);
    MemorySegment.copy(values, 0, bytes, Layouts.U32, 0, values.length);
    return bytes.toArray(Layouts.U8);
  }

  /// Of each F32 its BF16.
  private static byte[] upperHalves(int[] values) {
    byte[] halves = new byte[values.length * 2];
    for (int i = 0; i < values.length; i++) {
      halves[2 * i] = (byte) (values[i] >>> 16);
      halves[2 * i + 1] = (byte) (values[i] >>> 24);
    }
    return halves;
  }

  private static int[] ints(byte[] bytes) {
    return MemorySegment.ofArray(bytes).toArray(Layouts.U32);
  }

  private static short[] shorts(byte[] bytes) {
    return MemorySegment.ofArray(bytes).toArray(Layouts.U16);
  }

  static float[] floats(byte[] bytes) {
    return MemorySegment.ofArray(bytes).toArray(Layouts.F32);
  }
}
