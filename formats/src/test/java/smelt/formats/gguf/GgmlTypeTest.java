package smelt.formats.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class GgmlTypeTest {

  /// Bits per weight as the format's users know them.
  @ParameterizedTest
  @CsvSource({
    "F32,0,32",
    "F16,1,16",
    "BF16,30,16",
    "F64,28,64",
    "I8,24,8",
    "I16,25,16",
    "I32,26,32",
    "I64,27,64",
    "Q4_0,2,4.5",
    "Q4_1,3,5",
    "Q5_0,6,5.5",
    "Q5_1,7,6",
    "Q8_0,8,8.5",
    "Q8_1,9,9",
    "Q2_K,10,2.625",
    "Q3_K,11,3.4375",
    "Q4_K,12,4.5",
    "Q5_K,13,5.5",
    "Q6_K,14,6.5625",
    "Q8_K,15,9.125",
    "IQ2_XXS,16,2.0625",
    "IQ2_XS,17,2.3125",
    "IQ3_XXS,18,3.0625",
    "IQ1_S,19,1.5625",
    "IQ4_NL,20,4.5",
    "IQ3_S,21,3.4375",
    "IQ2_S,22,2.5625",
    "IQ4_XS,23,4.25",
    "IQ1_M,29,1.75",
    "TQ1_0,34,1.6875",
    "TQ2_0,35,2.0625",
    "MXFP4,39,4.25",
    "NVFP4,40,4.5",
    "Q1_0,41,1.125",
    "Q2_0,42,2.25",
    "Q4_0_R8,202,4.5",
    "Q8_0_R8,208,8.5",
    "Q4_K_R4,212,4.5",
    "Q6_K_R4,214,6.5625"
  })
  void hasTheNumberAndSizeOfGgml(GgmlType type, int id, double bitsPerWeight) {
    assertThat(type.id()).isEqualTo(id);
    assertThat(GgmlType.of(id)).contains(type);
    assertThat(type.bytes(7168 * 256L) * 8.0 / (7168 * 256L)).isEqualTo(bitsPerWeight);
  }

  @Test
  void coversEveryTypeInTheTableAbove() {
    assertThat(GgmlType.values()).hasSize(39);
    assertThat(Arrays.stream(GgmlType.values()).map(GgmlType::id)).doesNotHaveDuplicates();
  }

  @ParameterizedTest
  @ValueSource(longs = {4, 5, 31, 32, 33, 36, 37, 38})
  void knowsWhichNumbersWereGivenUp(long id) {
    assertThat(GgmlType.of(id)).isEmpty();
    assertThat(GgmlType.isRemoved(id)).isTrue();
  }

  @ParameterizedTest
  @ValueSource(longs = {-1, 43, 255, 0x1_0000_0000L})
  void knowsNoOtherNumbers(long id) {
    assertThat(GgmlType.of(id)).isEmpty();
    assertThat(GgmlType.isRemoved(id)).isFalse();
  }

  @Test
  void refusesPartsOfBlocksAndOverflow() {
    assertThatThrownBy(() -> GgmlType.Q8_0.bytes(33)).isInstanceOf(ArithmeticException.class);
    assertThatThrownBy(() -> GgmlType.F64.bytes(1L << 60)).isInstanceOf(ArithmeticException.class);
  }
}
