package smelt.formats.codec;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/// Fails, and does not skip, where the vector module is missing.
class VectorKernelsTest extends KernelsContract {

  @Override
  Kernels kernels() {
    return KernelSet.choose("vector");
  }

  @ParameterizedTest
  @EnumSource(Codec.class)
  void equalsScalarOnRandomBits(Codec codec) {
    Random random = new Random(17);
    for (int round = 0; round < 60; round++) {
      byte[] in = input(codec, random, 10_007);
      byte[] scale = bytes(new float[] {(float) Math.exp(random.nextGaussian() * 20)});
      byte[] vector = run(kernels(), codec, in, scale, Long.MAX_VALUE, round % 9);
      byte[] scalar = run(new ScalarKernels(), codec, in, scale, Long.MAX_VALUE, round % 9);
      assertThat(vector).as("round %d", round).isEqualTo(scalar);
    }
  }

  /// Values next to which codes change, as odd numbers `t` of at most 8 bits: those of E4M3, which
  /// are also those of INT8 below 16, and those of INT8 (`k + 1/2` is `t / 2`).
  static IntStream ties() {
    return IntStream.range(0, 127).map(k -> 2 * k + 1);
  }

  /// The quotient may differ from the F32 quotient by one rounding where `x / scale` is within
  /// 2^-46 of the middle between two floats. For each BF16 significand `x` and each middle next to
  /// a `t`, the scales with which `x / scale` comes nearest to it are tried: if these are right,
  /// all are.
  @ParameterizedTest
  @MethodSource("ties")
  void theQuotientsNearestToTheirRoundingEdgesAreRight(int t) {
    float[] in = new float[64];
    for (int x = 128; x < 256; x++) {
      for (double side : new double[] {-1, -0.5, 1}) {
        for (float scale : nearest(x, t, side)) {
          for (int i = 0; i < in.length; i++) {
            // Each t at every place in the range of the codes.
            in[i] = Math.scalb((float) x, -20 + i % 16) * (i % 2 == 0 ? 1 : -1);
          }
          byte[] values = bytes(in);
          byte[] upper = new byte[2 * in.length];
          for (int i = 0; i < in.length; i++) {
            upper[2 * i] = values[4 * i + 2];
            upper[2 * i + 1] = values[4 * i + 3];
          }
          for (Codec codec :
              new Codec[] {
                Codec.ENCODE_E4M3,
                Codec.ENCODE_INT8,
                Codec.ENCODE_E4M3_FROM_BF16,
                Codec.ENCODE_INT8_FROM_BF16
              }) {
            byte[] source = codec.inWidth == 4 ? values : upper;
            assertThat(encode(kernels(), codec, source, scale))
                .as("%s / %s", x, scale)
                .isEqualTo(encode(new ScalarKernels(), codec, source, scale));
          }
        }
      }
    }
  }

  /// Scales s for which x / s, times a power of two, is nearest to the edge between t and the float
  /// next to it (half as far below a power of two).
  private static float[] nearest(int x, int t, double side) {
    double edge = t + side * Math.ulp((float) t) / 2.0;
    double scale = x / edge;
    float s = (float) scale;
    return new float[] {Math.nextDown(s), s, Math.nextUp(s)};
  }

  @Test
  void leavesMemoryOnTheHeapToScalarCode() {
    byte[] in = input(Codec.ENCODE_E4M3, new Random(1), 1000);
    byte[] scale = bytes(new float[] {0.01f});
    byte[] out = new byte[1000];
    Codec.ENCODE_E4M3.run(
        kernels(),
        new Codec.Span(MemorySegment.ofArray(in), 0),
        new Codec.Span(MemorySegment.ofArray(scale), 0),
        1000,
        new Codec.Span(MemorySegment.ofArray(out), 0),
        1000);
    assertThat(out).isEqualTo(run(new ScalarKernels(), Codec.ENCODE_E4M3, in, scale, 1000, 0));
  }

  private static byte[] encode(Kernels kernels, Codec codec, byte[] in, float scale) {
    int count = in.length / codec.inWidth;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment input = arena.allocate(in.length).copyFrom(MemorySegment.ofArray(in));
      MemorySegment scales = arena.allocate(4);
      scales.set(Layouts.F32, 0, scale);
      MemorySegment output = arena.allocate(count);
      codec.run(
          kernels,
          new Codec.Span(input, 0),
          new Codec.Span(scales, 0),
          count,
          new Codec.Span(output, 0),
          count);
      return output.toArray(Layouts.U8);
    }
  }
}
