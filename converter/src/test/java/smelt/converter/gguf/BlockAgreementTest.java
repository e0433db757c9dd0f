package smelt.converter.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import smelt.formats.ggml.BlockKernels;
import smelt.formats.ggml.BlockQuantizer;
import smelt.formats.ggml.GgmlLibrary;
import smelt.formats.gguf.BlockDecoder;
import smelt.formats.gguf.GgmlType;

/// Every type that is written has the bytes of llama.cpp's own quantizer, whatever the rows.
class BlockAgreementTest {

  private static final int COLS = 1024;
  private static final int ROWS = 12;

  private static GgmlLibrary ggml;

  /// What a row is like.
  enum Rows {
    GAUSSIAN,
    HEAVY_TAILED,
    BF16,
    CONSTANT,
    NEGATIVE_CONSTANT,
    ZEROS,
    HALF_ZEROS,
    ONE_OUTLIER,
    TIES,
    SUBNORMAL,
    TINY,
    SMALL,
    LARGE,
    NOT_NEGATIVE,
    ALL_NEGATIVE,
    POWERS;

    float value(Random random, int i) {
      float normal = (float) random.nextGaussian();
      return switch (this) {
        case GAUSSIAN -> normal * 0.02f;
        case HEAVY_TAILED -> normal * normal * normal;
        case BF16 -> Float.intBitsToFloat(Float.floatToRawIntBits(normal * 0.02f) & 0xFFFF0000);
        case CONSTANT -> 0.37f;
        case NEGATIVE_CONSTANT -> -0.37f;
        case ZEROS -> i % 3 == 0 ? -0f : 0f;
        case HALF_ZEROS -> i / 16 % 2 == 0 ? 0 : normal;
        case ONE_OUTLIER -> i % 256 == 77 ? 1000 * normal : normal * 1e-3f;
        case TIES -> Math.round(normal * 3) * 0.5f;
        case SUBNORMAL -> normal * 1e-41f;
        case TINY -> normal * 1e-30f;
        case SMALL -> normal * 1e-7f;
        case LARGE -> normal * 3000;
        case NOT_NEGATIVE -> Math.abs(normal);
        case ALL_NEGATIVE -> -1 - Math.abs(normal);
        case POWERS -> Math.copySign(Math.scalb(1f, -random.nextInt(20)), normal);
      };
    }
  }

  @BeforeAll
  static void install() throws IOException, InterruptedException {
    LlamaClient.install();
    assumeTrue(GgmlLibrary.installed().isPresent(), "the package has no library of ggml");
    ggml = new GgmlLibrary(GgmlLibrary.installed().orElseThrow());
  }

  @ParameterizedTest
  @EnumSource(
      value = GgmlType.class,
      names = {
        "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL",
        "IQ4_XS", "MXFP4"
      })
  void hasTheBytesOfLlamaCpp(GgmlType type) {
    for (Rows rows : Rows.values()) {
      assertAgrees(type, rows, false);
      assertAgrees(type, rows, true);
    }
  }

  private static void assertAgrees(GgmlType type, Rows rows, boolean weighted) {
    Random random = new Random(41);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment in = arena.allocate((long) ROWS * COLS * Float.BYTES);
      for (int i = 0; i < ROWS * COLS; i++) {
        in.setAtIndex(ValueLayout.JAVA_FLOAT, i, rows.value(random, i));
      }
      MemorySegment importance = MemorySegment.NULL;
      if (weighted) {
        importance = arena.allocate((long) COLS * Float.BYTES);
        for (int i = 0; i < COLS; i++) {
          float weight = (float) Math.exp(random.nextGaussian());
          importance.setAtIndex(ValueLayout.JAVA_FLOAT, i, weight);
        }
      }
      MemorySegment expected = arena.allocate(type.bytes((long) ROWS * COLS));
      ggml.quantize(type, in, ROWS, COLS, importance, expected);
      MemorySegment out = arena.allocate(expected.byteSize());
      BlockQuantizer.quantize(
          BlockKernels.choose("scalar"), type, in, 0, ROWS, COLS, importance, 0, out, 0);
      assertThat(out.mismatch(expected))
          .as("first other byte, %s %s, importance %s", type, rows, weighted)
          .isEqualTo(-1);
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = GgmlType.class,
      names = {
        "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL",
        "IQ4_XS", "MXFP4"
      })
  void readsBlocksAsLlamaCppDoes(GgmlType type) {
    Random random = new Random(43);
    long count = (long) ROWS * COLS;
    try (Arena arena = Arena.ofConfined()) {
      for (Rows rows : new Rows[] {Rows.GAUSSIAN, Rows.HEAVY_TAILED, Rows.ZEROS, Rows.TIES}) {
        MemorySegment in = arena.allocate(count * Float.BYTES);
        for (int i = 0; i < count; i++) {
          in.setAtIndex(ValueLayout.JAVA_FLOAT, i, rows.value(random, i));
        }
        MemorySegment blocks = arena.allocate(type.bytes(count));
        ggml.quantize(type, in, ROWS, COLS, MemorySegment.NULL, blocks);
        MemorySegment expected = arena.allocate(count * Float.BYTES);
        ggml.dequantize(type, blocks, expected, count);
        MemorySegment out = arena.allocate(count * Float.BYTES);
        BlockDecoder.decode(type, blocks, 0, ROWS, COLS, out, 0);
        assertThat(out.mismatch(expected)).as("%s %s", type, rows).isEqualTo(-1);
      }
    }
  }
}
