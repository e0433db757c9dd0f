package smelt.calibrate.model;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;
import smelt.calibrate.math.Matrix;
import smelt.formats.ElementType;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.Tile;

/// Codes 1, 2 and 3 with scale 0.5, inputs with scale 0.25 and offset 3: the offset's part is `-3 *
/// 6 = -18`, and sums are scaled by `0.125`.
class IntegerOutputTest {

  private static float corrected(int bias, float scale) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment codes = MemorySegment.ofArray(new byte[] {1, 2, 3});
      Tile tile =
          new Tile(
              new Encoding.Channel(ElementType.I8, ElementType.F32),
              codes,
              0,
              MemorySegment.ofArray(new float[] {0.5f}),
              0,
              1,
              3);
      Matrix out = Matrix.ofRow(arena, 7);
      new IntegerOutput(
              new ActivationScheme.Affine(0.25f, 4, 3),
              MemorySegment.ofArray(new int[] {bias}),
              MemorySegment.ofArray(new float[] {scale}),
              Float.BYTES)
          .correct(tile, 0, out);
      return out.get(0, 0);
    }
  }

  @Test
  void leavesWhatAgreesWithItself() {
    assertThat(corrected(-18, 0.125f)).isEqualTo(7);
  }

  @Test
  void addsTheBiasInWholeScales() {
    assertThat(corrected(-16, 0.125f)).isEqualTo(7.25f);
  }

  @Test
  void multipliesWithTheStoredScale() {
    assertThat(corrected(-18, 0.25f)).isEqualTo(14);
  }
}
