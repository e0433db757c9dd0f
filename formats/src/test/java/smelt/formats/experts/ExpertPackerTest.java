package smelt.formats.experts;

import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.util.Locale;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import smelt.formats.Checkout;
import smelt.formats.ElementType;
import smelt.formats.checkpoint.Projection;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.KernelSet;
import smelt.formats.codec.Kernels;
import smelt.formats.codec.NonFiniteException;
import smelt.formats.codec.Tile;
import smelt.formats.experts.ExpertPacker.Region;
import smelt.formats.experts.ExpertPacker.Rule;

class ExpertPackerTest {

  private static final ValueLayout.OfFloat F32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(LITTLE_ENDIAN);
  private static final Encoding BF16 = new Encoding.Plain(ElementType.BF16);
  private static final Kernels KERNELS = KernelSet.choose("auto");

  /// Codes and scales of a region.
  private record Quantized(MemorySegment codes, MemorySegment scales, MemorySegment packed) {}

  /// Three projections of two experts for two nodes, as the runtime itself saved them.
  @ParameterizedTest
  @EnumSource(
      value = ExpertFormat.class,
      names = {"AMXINT8", "AMXINT4"})
  void upstreamGivesTheTreeThatTheRuntimeSaved(ExpertFormat format) throws IOException {
    long side = 256;
    long half = 128;
    int files = 0;
    for (Projection projection : Projection.values()) {
      String name = projection.name().toLowerCase(Locale.ROOT);
      byte[] input = GoldenVectors.bytes("tree/in/" + name + ".bf16");
      for (int expert = 0; expert < 2; expert++) {
        for (int node = 0; node < 2; node++) {
          Region region =
              projection == Projection.DOWN
                  ? new Region(0, side, node * half, half)
                  : new Region(node * half, half, 0, side);
          try (Arena arena = Arena.ofConfined()) {
            long bytes = 2L * side * side;
            MemorySegment matrix = arena.allocate(bytes);
            MemorySegment.copy(MemorySegment.ofArray(input), bytes * expert, matrix, 0, bytes);
            Tile tile = new Tile(BF16, matrix, 0, MemorySegment.NULL, 0, side, side);
            Quantized made = quantize(format, Rule.UPSTREAM, projection, tile, region, arena);
            String label = format == ExpertFormat.AMXINT8 ? "int8" : "int4";
            String prefix =
                "kt/tree/%s_tp2/_layer_3/_numa_%d/%s_%s_%d_"
                    .formatted(label, node, label.toUpperCase(Locale.ROOT), name, expert);
            assertThat(made.packed().toArray(ValueLayout.JAVA_BYTE))
                .as(prefix)
                .isEqualTo(golden(prefix + made.packed().byteSize() + "Byte_quant_.kt"));
            assertThat(made.scales().toArray(ValueLayout.JAVA_BYTE))
                .as(prefix)
                .isEqualTo(golden(prefix + made.scales().byteSize() + "Byte_scale_.kt"));
          }
          files += 2;
        }
      }
    }
    assertThat(files).isEqualTo(24);
  }

  private static Quantized quantize(
      ExpertFormat format,
      Rule rule,
      Projection projection,
      Tile tile,
      Region region,
      Arena arena) {
    MemorySegment codes = arena.allocate(region.rows() * region.cols());
    MemorySegment scales = arena.allocate(4 * region.rows());
    MemorySegment scratch =
        arena.allocate(ExpertPacker.scratchBytes(tile.encoding(), tile.cols()), 64);
    ExpertPacker packer = new ExpertPacker(format, rule);
    packer.quantize(KERNELS, tile, region, codes, scales, scratch);
    MemorySegment packed = arena.allocate(format.bytes(projection, region.rows(), region.cols()));
    packer.pack(projection, codes, 0, region.cols(), region, packed, 0);
    MemorySegment back = arena.allocate(codes.byteSize());
    format.unpack(projection, packed, 0, region.rows(), region.cols(), back, 0, region.cols());
    assertThat(back.mismatch(codes)).isEqualTo(-1);
    return new Quantized(codes, scales, packed);
  }

  private static byte[] golden(String name) throws IOException {
    return Files.readAllBytes(Checkout.golden(name));
  }

  /// Gaussian rows; one row of zeros.
  private static Tile gaussian(int rows, int cols, Arena arena) {
    MemorySegment values = arena.allocate(2L * rows * cols);
    Random random = new Random(11);
    for (int row = 1; row < rows; row++) {
      for (int col = 0; col < cols; col++) {
        float x = (float) (0.02 * random.nextGaussian());
        short bits = (short) (Float.floatToRawIntBits(x) >>> 16);
        values.set(
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(LITTLE_ENDIAN),
            2L * row * cols + 2L * col,
            bits);
      }
    }
    return new Tile(BF16, values, 0, MemorySegment.NULL, 0, rows, cols);
  }

  private static double error(ExpertFormat format, Tile tile, Quantized made) {
    double error = 0;
    for (int row = 0; row < tile.rows(); row++) {
      for (int col = 0; col < tile.cols(); col++) {
        long at = row * tile.cols() + col;
        short bits =
            tile.codes().get(ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(LITTLE_ENDIAN), 2 * at);
        float x = Float.intBitsToFloat(bits << 16);
        double value =
            made.codes().get(ValueLayout.JAVA_BYTE, at)
                * (double) format.codeStep()
                * made.scales().get(F32, 4L * row);
        error += (x - value) * (x - value);
      }
    }
    return error;
  }

  /// The runtime's rule loses most where a row is long: its largest number sets the step.
  @Test
  void theBestScaleGainsThreeDecibelsOnRowsOfDeepSeekV3() {
    try (Arena arena = Arena.ofConfined()) {
      Tile tile = gaussian(32, 7168, arena);
      Region whole = new Region(0, 32, 0, 7168);
      Quantized upstream =
          quantize(ExpertFormat.AMXINT4, Rule.UPSTREAM, Projection.GATE, tile, whole, arena);
      Quantized exact =
          quantize(ExpertFormat.AMXINT4, Rule.EXACT, Projection.GATE, tile, whole, arena);
      double gain =
          10
              * Math.log10(
                  error(ExpertFormat.AMXINT4, tile, upstream)
                      / error(ExpertFormat.AMXINT4, tile, exact));
      assertThat(gain).isGreaterThan(2.8);
      assertThat(exact.scales().get(F32, 0)).isZero();
    }
  }

  @ParameterizedTest
  @EnumSource(ExpertFormat.class)
  void namesWhatIsNoNumber(ExpertFormat format) {
    try (Arena arena = Arena.ofConfined()) {
      Tile tile = gaussian(64, 128, arena);
      tile.codes()
          .set(
              ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(LITTLE_ENDIAN),
              2L * (5 * 128 + 7),
              (short) 0x7FC0);
      for (Rule rule : Rule.values()) {
        assertThatThrownBy(
                () -> quantize(format, rule, Projection.UP, tile, new Region(0, 64, 0, 128), arena))
            .isInstanceOf(NonFiniteException.class)
            .hasMessageContaining("row 5, column 7");
      }
    }
  }
}
