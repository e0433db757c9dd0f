package smelt.formats.experts;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class AoclLayoutTest {

  @ParameterizedTest
  @CsvSource({"upgate_n64_k192, 32, 64, 192", "down_n128_k192, 64, 128, 192"})
  void packsAsTheRuntimeDoesAndBack(String name, int panel, int n, int k) throws IOException {
    byte[] codes = GoldenVectors.bytes("aocl/moe_int8_" + name + ".in.i8");
    byte[] golden = GoldenVectors.bytes("aocl/moe_int8_" + name + ".packed.bin");
    AoclLayout layout = new AoclLayout(panel);
    byte[] packed = new byte[(int) layout.bytes(n, k)];
    layout.pack(GoldenVectors.segment(codes), 0, k, n, k, GoldenVectors.segment(packed), 0);
    assertThat(packed).isEqualTo(golden);
    byte[] back = new byte[codes.length];
    layout.unpack(GoldenVectors.segment(packed), 0, n, k, GoldenVectors.segment(back), 0, k);
    assertThat(back).isEqualTo(codes);
  }

  @Test
  void roundsHalfAwayFromZero() {
    byte[] codes = new byte[4];
    float scale = RowRule.AOCL_INT8.quantize(new float[] {127, 0.5f, -1.5f, -127}, 4, codes);
    assertThat(scale).isEqualTo(1f);
    assertThat(codes).containsExactly(127, 1, -2, -127);
  }

  @Test
  void namesEveryMisfit() {
    assertThat(AoclLayout.GATE_UP.misfits(32, 4)).isEmpty();
    assertThat(AoclLayout.DOWN.misfits(96, 6)).hasSize(2);
  }
}
