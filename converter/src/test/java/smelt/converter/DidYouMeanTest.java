package smelt.converter;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DidYouMeanTest {

  private static final List<String> TARGETS =
      List.of("bf16", "fp8-block", "ct-fp8-block", "int8-channel", "int8-block", "ct-int8");

  @ParameterizedTest
  @CsvSource({
    "int8-chanel, int8-channel",
    "int8channel, int8-channel",
    "INT8-CHANNEL, int8-channel",
    "fp8-blokc, fp8-block",
    "int8-chan, int8-channel",
    "bf61, bf16"
  })
  void findsTheNearestWord(String slip, String meant) {
    assertThat(DidYouMean.closest(slip, TARGETS)).contains(meant);
  }

  @ParameterizedTest
  @CsvSource({"gguf", "x", "something-else", "''"})
  void suggestsNothingForAnotherWord(String other) {
    assertThat(DidYouMean.closest(other, TARGETS)).isEmpty();
  }

  @Test
  void countsASwapOfNeighboursOnce() {
    assertThat(DidYouMean.distance("ab", "ba")).isEqualTo(1);
    assertThat(DidYouMean.distance("kitten", "sitting")).isEqualTo(3);
    assertThat(DidYouMean.distance("", "abc")).isEqualTo(3);
  }
}
