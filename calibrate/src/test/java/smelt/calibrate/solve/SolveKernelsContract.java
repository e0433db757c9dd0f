package smelt.calibrate.solve;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import smelt.calibrate.math.Matrix;

/// What all kernels of the solvers keep: sums in the stated order, to the bit.
abstract class SolveKernelsContract {

  private static final int GUARD = 67;
  private static final int STRIDE = 131;

  abstract SolveKernels kernels();

  @ParameterizedTest
  @ValueSource(ints = {1, 15, 16, 31, 32, 50, 96, 128})
  void addsProductsInTheOrderOfTheColumns(int width) {
    Random random = new Random(width);
    for (int rows : new int[] {1, 5, 6, 7, 12, 48}) {
      for (int depth : new int[] {1, 31, 32, 128}) {
        try (Arena arena = Arena.ofConfined()) {
          check(arena, random, rows, depth, width);
        }
      }
    }
  }

  private void check(Arena arena, Random random, int rowCount, int depth, int width) {
    int stride = depth + 3;
    MemorySegment rows = noise(arena, random, rowCount * stride);
    MemorySegment panel = noise(arena, random, depth * STRIDE);
    MemorySegment out = noise(arena, random, rowCount * STRIDE);
    MemorySegment before = MemorySegment.ofArray(out.toArray(JAVA_BYTE));
    kernels()
        .accumulate(
            rows,
            GUARD,
            4L * stride,
            rowCount,
            panel,
            GUARD,
            4L * STRIDE,
            depth,
            out,
            GUARD,
            4L * STRIDE,
            width);
    for (int r = 0; r < rowCount; r++) {
      for (int c = 0; c < STRIDE; c++) {
        float sum = before.get(Matrix.F32, at(r, c));
        for (int i = 0; i < depth && c < width; i++) {
          float factor = rows.get(Matrix.F32, GUARD + 4L * (r * stride + i));
          sum = Math.fma(factor, panel.get(Matrix.F32, at(i, c)), sum);
        }
        before.set(Matrix.F32, at(r, c), sum);
      }
    }
    assertThat(out.mismatch(before)).isEqualTo(-1);
  }

  private static long at(int r, int c) {
    return GUARD + 4L * (r * STRIDE + c);
  }

  private static MemorySegment noise(Arena arena, Random random, int numbers) {
    MemorySegment memory = arena.allocate(2L * GUARD + 4L * numbers).fill((byte) 0x5A);
    for (int i = 0; i < numbers; i++) {
      float scale = (float) Math.exp(4 * random.nextGaussian());
      memory.set(Matrix.F32, GUARD + 4L * i, scale * (float) random.nextGaussian());
    }
    return memory;
  }

  @Test
  void worksOnTheHeapToo() {
    MemorySegment rows = MemorySegment.ofArray(new float[] {2});
    MemorySegment panel = MemorySegment.ofArray(new float[STRIDE]).fill((byte) 0);
    panel.set(Matrix.F32, 4, 3);
    MemorySegment out = MemorySegment.ofArray(new float[STRIDE]);
    kernels().accumulate(rows, 0, 4, 1, panel, 0, 4L * STRIDE, 1, out, 0, 4L * STRIDE, 32);
    assertThat(out.get(Matrix.F32, 4)).isEqualTo(6);
  }
}
