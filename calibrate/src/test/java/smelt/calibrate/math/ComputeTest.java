package smelt.calibrate.math;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import org.junit.jupiter.api.Test;
import smelt.formats.codec.KernelSet;

class ComputeTest {

  @Test
  void multipliesByTheTranspose() {
    try (Arena arena = Arena.ofShared();
        Compute compute = new Compute(MathKernelSet.choose("auto"), KernelSet.choose("auto"), 1)) {
      Matrix x = Matrix.ofRow(arena, 1, 2, 3);
      Matrix w = Matrix.zeros(arena, 2, 3);
      w.set(0, 0, 5);
      w.set(1, 1, 7);
      w.set(1, 2, 1);
      Matrix out = Matrix.zeros(arena, 1, 2);
      compute.multiply(x, w, out);
      assertThat(out.get(0, 0)).isEqualTo(5f);
      assertThat(out.get(0, 1)).isEqualTo(17f);
    }
  }
}
