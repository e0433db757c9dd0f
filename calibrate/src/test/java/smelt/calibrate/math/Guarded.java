package smelt.calibrate.math;

import static org.assertj.core.api.Assertions.assertThat;
import static smelt.calibrate.math.Matrix.F32;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Random;

/// A matrix at an odd offset, with bytes before, between and behind its rows that must survive.
record Guarded(Matrix matrix) {

  private static final int OFFSET = 71;
  private static final int GAP = 3;
  private static final byte GUARD = (byte) 0x5A;

  static Guarded zeros(Arena arena, int rows, int cols) {
    long stride = (long) cols + GAP;
    MemorySegment memory =
        arena.allocate(2L * OFFSET + Float.BYTES * stride * Math.max(1, rows)).fill(GUARD);
    Guarded guarded = new Guarded(new Matrix(memory, OFFSET, rows, cols, stride));
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < cols; c++) {
        guarded.matrix.set(r, c, 0);
      }
    }
    return guarded;
  }

  static Guarded normal(Arena arena, int rows, int cols, Random random) {
    Guarded guarded = zeros(arena, rows, cols);
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < cols; c++) {
        guarded.matrix.set(r, c, (float) random.nextGaussian());
      }
    }
    return guarded;
  }

  MemorySegment data() {
    return matrix.data();
  }

  long at(long row, long col) {
    return matrix.at(row, col);
  }

  long strideBytes() {
    return Float.BYTES * matrix.stride();
  }

  double get(long row, long col) {
    return matrix.get(row, col);
  }

  /// The numbers, row after row.
  float[] numbers() {
    int cols = (int) matrix.cols();
    float[] numbers = new float[Math.toIntExact(matrix.rows() * cols)];
    for (int r = 0; r < matrix.rows(); r++) {
      MemorySegment.copy(data(), F32, at(r, 0), numbers, r * cols, cols);
    }
    return numbers;
  }

  void assertGuards() {
    long end = data().byteSize();
    assertGuard(0, OFFSET);
    for (long r = 0; r < matrix.rows(); r++) {
      assertGuard(at(r, matrix.cols()), GAP * Float.BYTES);
    }
    assertGuard(end - OFFSET, OFFSET);
  }

  private void assertGuard(long from, long bytes) {
    MemorySegment expected = MemorySegment.ofArray(new byte[(int) bytes]).fill(GUARD);
    assertThat(data().asSlice(from, bytes).mismatch(expected)).isEqualTo(-1);
  }
}
