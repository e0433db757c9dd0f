package smelt.formats.ggml;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import smelt.formats.gguf.GgmlType;

/// The vector code gives the bytes of the scalar one, which are those of llama.cpp.
class VectorBlocksTest {

  private static final int SUPER = 256;

  /// Fills rows.
  @FunctionalInterface
  private interface Rows {
    float value(Random random, int i);
  }

  private static final List<Rows> KINDS =
      List.of(
          (random, _) -> (float) (0.02 * random.nextGaussian()),
          (random, _) -> bf16((float) (0.02 * random.nextGaussian())),
          (random, _) -> (float) Math.abs(random.nextGaussian()),
          (random, _) -> (float) -Math.abs(random.nextGaussian()),
          (_, _) -> 0f,
          (_, i) -> i % 2 == 0 ? 0f : -0f,
          (_, _) -> 0.7f,
          (_, _) -> -0.7f,
          (random, i) -> i / 32 % 3 == 1 ? 0f : (float) random.nextGaussian(),
          (random, i) -> i / 16 % 5 == 2 ? -0.25f : (float) random.nextGaussian(),
          (random, i) -> i % 97 == 5 ? 40f : (float) (0.001 * random.nextGaussian()),
          (random, _) -> random.nextInt(-4, 5) / 4f,
          (random, _) -> Float.MIN_VALUE * random.nextInt(-3, 4),
          (random, _) -> (float) (1e-38 * random.nextGaussian()),
          (random, _) -> (float) (1e-16 * random.nextGaussian()),
          (random, _) -> (float) (900 * random.nextGaussian()),
          (random, _) -> (float) Math.exp(2 * random.nextGaussian()),
          (random, i) -> (i % 32 == 0 ? -1 : 1) * (1 - random.nextFloat() * 1e-6f));

  private static float bf16(float x) {
    return Float.intBitsToFloat(Float.floatToRawIntBits(x) & 0xFFFF0000);
  }

  static Stream<Arguments> cases() {
    return Stream.of(GgmlType.values())
        .filter(BlockQuantizer::canWrite)
        .flatMap(type -> Stream.of(false, true).map(weighted -> Arguments.of(type, weighted)));
  }

  @ParameterizedTest(name = "{0}, importance {1}")
  @MethodSource("cases")
  void theBytesAreThoseOfTheScalarCode(GgmlType type, boolean weighted) {
    Random random = new Random(2207);
    for (int kind = 0; kind < KINDS.size(); kind++) {
      for (int blocks : new int[] {1, 3, 8}) {
        float[] values = new float[2 * blocks * SUPER];
        float[] importance = weighted ? new float[blocks * SUPER] : new float[0];
        for (int i = 0; i < values.length; i++) {
          values[i] = KINDS.get(kind).value(random, i);
        }
        for (int i = 0; i < importance.length; i++) {
          importance[i] = i % 11 == 3 ? 0 : (float) Math.exp(random.nextGaussian());
        }
        assertThat(quantize("vector", type, values, importance))
            .as("rows of kind %d, %d super-blocks", kind, blocks)
            .isEqualTo(quantize("scalar", type, values, importance));
      }
    }
  }

  @Test
  void theVectorCodeIsThere() {
    assertThat(BlockKernels.choose("auto").name()).startsWith("vector-");
  }

  /// Two rows at odd places, with bytes around that must stay.
  private static byte[] quantize(
      String kernels, GgmlType type, float[] values, float[] importance) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment in = arena.allocate(3 + (long) Float.BYTES * values.length);
      MemorySegment.copy(values, 0, in, Layouts.F32, 3, values.length);
      long bytes = type.bytes(values.length);
      MemorySegment out = arena.allocate(bytes + 8).fill((byte) 0x5A);
      MemorySegment weights =
          importance.length == 0
              ? MemorySegment.NULL
              : arena.allocateFrom(ValueLayout.JAVA_FLOAT, importance);
      BlockQuantizer.quantize(
          BlockKernels.choose(kernels), type, in, 3, 2, values.length / 2, weights, 0, out, 5);
      byte[] all = out.toArray(ValueLayout.JAVA_BYTE);
      assertThat(all[4]).isEqualTo((byte) 0x5A);
      assertThat(all[all.length - 3]).isEqualTo((byte) 0x5A);
      return Arrays.copyOfRange(all, 5, all.length - 3);
    }
  }
}
