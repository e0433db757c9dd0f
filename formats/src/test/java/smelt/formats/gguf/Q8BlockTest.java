package smelt.formats.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

class Q8BlockTest {

  private static final ValueLayout.OfFloat F32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  @Test
  void writesTheScaleAndThenTheCodes() {
    float[] row = new float[32];
    row[0] = -127;
    row[1] = 1;
    row[2] = 63.5f;
    row[31] = 2.5f;
    byte[] block = encode(row);
    assertThat(block).hasSize(34);
    // F16 1.0 is 0x3C00.
    assertThat(Arrays.copyOf(block, 5)).containsExactly(0, 0x3C, -127, 1, 64);
    assertThat(block[33]).isEqualTo((byte) 3);
    assertThat(Arrays.copyOfRange(block, 5, 33)).containsOnly(0);
  }

  @Test
  void roundsHalvesAwayFromZeroAndNothingElse() {
    float[] row = new float[32];
    row[0] = 127;
    row[1] = 0.5f;
    row[2] = -0.5f;
    row[3] = 0.49999997f;
    row[4] = -1.5f;
    row[5] = 2.4999998f;
    assertThat(Arrays.copyOfRange(encode(row), 2, 8)).containsExactly(127, 1, -1, 0, -2, 2);
  }

  @Test
  void givesZerosForZerosAndForWhatIsTooSmall() {
    float[] row = new float[96];
    Arrays.fill(row, 32, 64, Float.MIN_VALUE);
    Arrays.fill(row, 64, 96, -1e-36f);
    assertThat(Arrays.copyOf(encode(row), 68)).containsOnly(0);
    assertThat(encode(row)[70]).isEqualTo((byte) -127);
  }

  @Test
  void keepsEveryCodeThatItReadsBack() {
    float[] row = new float[256];
    for (int i = 0; i < row.length; i++) {
      row[i] = i % 32 == 0 ? -127 / 64f : (i - 128) / 64f;
    }
    byte[] blocks = encode(row);
    byte[] floats = new byte[row.length * Float.BYTES];
    Q8Block.decode(MemorySegment.ofArray(blocks), 0, MemorySegment.ofArray(floats), 0, row.length);
    for (int i = 0; i < row.length; i++) {
      float expected = Math.max(-127 / 64f, row[i]);
      assertThat(MemorySegment.ofArray(floats).get(F32, (long) i * 4)).isEqualTo(expected);
    }
  }

  @Test
  void refusesPartsOfBlocks() {
    assertThatThrownBy(() -> encode(new float[33])).isInstanceOf(IllegalArgumentException.class);
  }

  /// At an odd offset, with bytes around that must stay.
  private static byte[] encode(float[] row) {
    MemorySegment in = MemorySegment.ofArray(new byte[1 + row.length * Float.BYTES]);
    for (int i = 0; i < row.length; i++) {
      in.set(F32, 1 + (long) i * Float.BYTES, row[i]);
    }
    byte[] out = new byte[3 + (row.length + 31) / 32 * 34 + 1];
    Arrays.fill(out, (byte) 0x5A);
    Q8Block.encode(in, 1, MemorySegment.ofArray(out), 3, row.length);
    assertThat(out[2]).isEqualTo((byte) 0x5A);
    assertThat(out[out.length - 1]).isEqualTo((byte) 0x5A);
    return Arrays.copyOfRange(out, 3, out.length - 1);
  }
}
