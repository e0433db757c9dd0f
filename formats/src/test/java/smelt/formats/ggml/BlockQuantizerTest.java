package smelt.formats.ggml;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import smelt.formats.codec.NonFiniteException;
import smelt.formats.gguf.GgmlType;

/// The bytes themselves are compared with those of llama.cpp in the converter's tests.
class BlockQuantizerTest {

  @ParameterizedTest
  @EnumSource(
      value = GgmlType.class,
      names = {
        "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL",
        "IQ4_XS", "MXFP4"
      })
  void namesTheFirstValueThatIsNotFinite(GgmlType type) {
    float[] values = new float[3 * 256];
    values[300] = Float.NEGATIVE_INFINITY;
    values[301] = Float.NaN;
    assertThatThrownBy(() -> quantize(type, values, 3))
        .isInstanceOfSatisfying(
            NonFiniteException.class,
            e -> assertThat(e.place()).isEqualTo(new NonFiniteException.Place.Weight(1, 44)));
  }

  @ParameterizedTest
  @EnumSource(
      value = GgmlType.class,
      names = {
        "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL",
        "IQ4_XS"
      })
  void refusesScalesBeyondF16(GgmlType type) {
    float[] values = new float[256];
    values[3] = 1e12f;
    assertThatThrownBy(() -> quantize(type, values, 1)).isInstanceOf(NonFiniteException.class);
  }

  @Test
  void writesBlocksOfFourBitsByHand() {
    float[] values = new float[32];
    values[0] = -8;
    values[1] = 7;
    values[16] = 1;
    byte[] block = quantize(GgmlType.Q4_0, values, 1);
    assertThat(block).hasSize(18);
    assertThat(Arrays.copyOf(block, 5)).containsExactly(0, 0x3C, 0x90, 0x8F, 0x88);
  }

  @Test
  void refusesTypesThatCannotBeWrittenAndPartsOfBlocks() {
    assertThatThrownBy(() -> quantize(GgmlType.IQ1_S, new float[256], 1))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> quantize(GgmlType.Q4_K, new float[128], 1))
        .isInstanceOf(IllegalArgumentException.class);
  }

  /// At odd offsets, with bytes around that must stay.
  private static byte[] quantize(GgmlType type, float[] values, int rows) {
    MemorySegment in = MemorySegment.ofArray(new byte[1 + values.length * Float.BYTES]);
    MemorySegment.copy(values, 0, in, Layouts.F32, 1, values.length);
    int bytes = values.length / type.blockElements() * type.blockBytes();
    byte[] out = new byte[bytes + 4];
    Arrays.fill(out, (byte) 0x5A);
    BlockQuantizer.quantize(
        BlockKernels.choose("scalar"),
        type,
        in,
        1,
        rows,
        values.length / rows,
        MemorySegment.NULL,
        0,
        MemorySegment.ofArray(out),
        3);
    assertThat(out[2]).isEqualTo((byte) 0x5A);
    assertThat(out[out.length - 1]).isEqualTo((byte) 0x5A);
    return Arrays.copyOfRange(out, 3, out.length - 1);
  }
}
