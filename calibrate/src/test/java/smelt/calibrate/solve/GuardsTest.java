package smelt.calibrate.solve;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.solve.Method.Gptq;
import smelt.calibrate.solve.NeverWorse.Kept;
import smelt.calibrate.solve.RowGrid.ScaleType;
import smelt.formats.codec.KernelSet;
import smelt.formats.codec.Kernels;

class GuardsTest {

  private static final int COLS = 200;
  private static final int ROWS = 70;
  private static final RowGrid GRID = RowGrid.wholeRow(COLS, 7, ScaleType.F32);

  private final Kernels codec = KernelSet.choose("auto");
  private final SolveKernels kernels = SolveKernelSet.choose("auto");

  /// Rows, what a method chose for them, and moments to judge by.
  private static final class Case {
    private final Arena arena;
    private final double[][] truth = Textbook.moments(new Random(61), COLS, 1000);
    private final Matrix moments;
    private final Matrix weights;
    private final MemorySegment codes;
    private final MemorySegment scales;

    Case(Arena arena) {
      this.arena = arena;
      moments = Matrix.zeros(arena, COLS, COLS);
      weights = Matrix.zeros(arena, ROWS, COLS);
      codes = arena.allocate(ROWS * COLS);
      scales = arena.allocate(4L * ROWS);
      Textbook.copy(truth, moments);
      Random random = new Random(62);
      for (int r = 0; r < ROWS; r++) {
        float[] row = ScaleWalkTest.tailed(random, COLS, 1 + r % 2);
        MemorySegment.copy(row, 0, weights.data(), Matrix.F32, weights.at(r, 0), COLS);
      }
    }

    double error(int row) {
      double[] difference = new double[COLS];
      for (int c = 0; c < COLS; c++) {
        float scale = scales.get(Matrix.F32, 4L * row);
        difference[c] =
            weights.get(row, c) - codes.get(JAVA_BYTE, (long) row * COLS + c) * (double) scale;
      }
      return Textbook.outputError(difference, truth);
    }

    double[] errors() {
      double[] errors = new double[ROWS];
      for (int r = 0; r < ROWS; r++) {
        errors[r] = error(r);
      }
      return errors;
    }
  }

  private void solve(Case on, Method method) {
    new RowSolver(codec, GRID, method, COLS, on.arena).solve(on.weights, on.codes, on.scales);
  }

  private Gptq gptq(Case on, Matrix moments) {
    try (Compute compute = new Compute(MathKernelSet.choose("auto"), codec, 1)) {
      return new Gptq(
          HessianFactor.of(
              compute, kernels, moments, Damping.LIGHT, ColumnOrder.DESCENDING, on.arena));
    }
  }

  private NeverWorse guard(Case on, Moments moments) {
    return new NeverWorse(codec, kernels, GRID, moments, COLS, on.arena);
  }

  @Test
  void keepsWhatASolverGained() {
    try (Arena arena = Arena.ofShared()) {
      Case on = new Case(arena);
      solve(on, gptq(on, on.moments));
      byte[] codes = on.codes.toArray(JAVA_BYTE);
      Kept kept =
          guard(on, new Moments.Full(on.moments)).keepBetter(on.weights, on.codes, on.scales);
      assertThat(kept.rows()).isEqualTo(ROWS);
      assertThat(kept.plainRows()).isEmpty();
      assertThat(kept.keptError()).isEqualTo(kept.solvedError()).isLessThan(kept.plainError() / 2);
      assertThat(on.codes.toArray(JAVA_BYTE)).isEqualTo(codes);
    }
  }

  /// The planted fault: moments in which signs of channels are wrong, as of another layer.
  @Test
  void takesPlainRoundingWhereASolverDidHarm() {
    try (Arena arena = Arena.ofShared()) {
      Case on = new Case(arena);
      solve(on, new Method.Rounding());
      double[] plain = on.errors();
      Matrix wrong = Matrix.zeros(on.arena, COLS, COLS);
      for (int i = 0; i < COLS; i++) {
        for (int j = 0; j < COLS; j++) {
          int sign = (i % 3 == 0 ? -1 : 1) * (j % 3 == 0 ? -1 : 1);
          wrong.set(i, j, sign * (float) on.truth[i][j]);
        }
      }
      solve(on, gptq(on, wrong));
      double[] harmed = on.errors();
      Kept kept =
          guard(on, new Moments.Full(on.moments)).keepBetter(on.weights, on.codes, on.scales);
      assertThat(kept.plainRows()).hasSizeGreaterThan(ROWS / 4);
      assertThat(kept.solvedError()).isGreaterThan(kept.plainError());
      assertThat(kept.keptError()).isLessThanOrEqualTo(kept.plainError());
      double[] errors = on.errors();
      double sum = 0;
      for (int r = 0; r < ROWS; r++) {
        boolean isPlain = kept.plainRows().contains((long) r);
        assertThat(errors[r]).isEqualTo(isPlain ? plain[r] : harmed[r]);
        assertThat(errors[r]).isLessThanOrEqualTo(plain[r] * (1 + 1e-4));
        sum += errors[r];
      }
      assertThat(kept.keptError())
          .isCloseTo(sum, org.assertj.core.data.Percentage.withPercentage(0.01));
    }
  }

  @Test
  void measuresByTheDiagonalToo() {
    try (Arena arena = Arena.ofShared()) {
      Case on = new Case(arena);
      float[] diagonal = new float[COLS];
      Matrix alone = Matrix.zeros(on.arena, COLS, COLS);
      for (int i = 0; i < COLS; i++) {
        diagonal[i] = on.moments.get(i, i);
        alone.set(i, i, diagonal[i]);
      }
      solve(on, new Method.Weighted(diagonal));
      Kept kept =
          guard(on, new Moments.Diagonal(diagonal)).keepBetter(on.weights, on.codes, on.scales);
      assertThat(kept.plainRows()).isEmpty();
      assertThat(kept.solvedError()).isLessThan(kept.plainError());
      Kept same = guard(on, new Moments.Full(alone)).keepBetter(on.weights, on.codes, on.scales);
      assertThat(same.keptError())
          .isCloseTo(kept.keptError(), org.assertj.core.data.Percentage.withPercentage(0.01));
    }
  }

  @Test
  void measuresByHalfOfTheMomentsAsByAll() {
    try (Arena arena = Arena.ofShared()) {
      Case on = new Case(arena);
      solve(on, gptq(on, on.moments));
      Moments half = Moments.Blocks.of(on.moments, arena);
      Kept all =
          guard(on, new Moments.Full(on.moments)).keepBetter(on.weights, on.codes, on.scales);
      Kept kept = guard(on, half).keepBetter(on.weights, on.codes, on.scales);
      assertThat(kept.plainRows()).isEqualTo(all.plainRows());
      assertThat(kept.plainError())
          .isCloseTo(all.plainError(), org.assertj.core.data.Percentage.withPercentage(1e-3));
      assertThat(kept.solvedError())
          .isCloseTo(all.solvedError(), org.assertj.core.data.Percentage.withPercentage(1e-3));
    }
  }

  @Test
  void fitsScalesByHalfOfTheMomentsAsByAll() {
    try (Arena arena = Arena.ofShared()) {
      Case one = new Case(arena);
      Case other = new Case(arena);
      solve(one, new Method.Rounding());
      solve(other, new Method.Rounding());
      Moments half = Moments.Blocks.of(other.moments, arena);
      new OutputRescale(kernels, GRID, new Moments.Full(one.moments), COLS, arena)
          .apply(one.weights, one.codes, one.scales);
      new OutputRescale(kernels, GRID, half, COLS, arena)
          .apply(other.weights, other.codes, other.scales);
      for (int r = 0; r < ROWS; r++) {
        float scale = one.scales.get(Matrix.F32, 4L * r);
        assertThat(other.scales.get(Matrix.F32, 4L * r)).isCloseTo(scale, within(scale * 1e-5f));
      }
    }
  }

  @Test
  void countsRowsOnAcrossParts() {
    Kept both = new Kept(10, List.of(3L), 4, 3, 2).plus(new Kept(5, List.of(0L, 4L), 1, 1, 1));
    assertThat(both).isEqualTo(new Kept(15, List.of(3L, 10L, 14L), 5, 4, 3));
  }

  @Test
  void fitsScalesToTheOutput() {
    try (Arena arena = Arena.ofShared()) {
      Case on = new Case(arena);
      solve(on, new Method.Rounding());
      double[] before = on.errors();
      OutputRescale rescale =
          new OutputRescale(kernels, GRID, new Moments.Full(on.moments), COLS, on.arena);
      assertThat(rescale.apply(on.weights, on.codes, on.scales)).isGreaterThan(ROWS / 2);
      double[] after = on.errors();
      double gain = 0;
      for (int r = 0; r < ROWS; r++) {
        assertThat(after[r]).isLessThanOrEqualTo(before[r] * (1 + 1e-6));
        gain += before[r] - after[r];
        float scale = on.scales.get(Matrix.F32, 4L * r);
        for (float factor : new float[] {0.999f, 1.001f}) {
          on.scales.set(Matrix.F32, 4L * r, scale * factor);
          assertThat(on.error(r)).isGreaterThan(after[r] * (1 - 1e-6));
        }
        on.scales.set(Matrix.F32, 4L * r, scale);
      }
      assertThat(gain).isPositive();
      assertThat(rescale.apply(on.weights, on.codes, on.scales)).isLessThan(ROWS / 2);
      assertThatThrownBy(() ->
              new OutputRescale(
                  kernels,
                  new RowGrid(50, 7, ScaleType.F32),
                  new Moments.Full(on.moments),
                  COLS,
                  on.arena))
          .hasMessageContaining("groups of 50");
    }
  }

  @Test
  void lendsFromThePool() {
    try (Arena arena = Arena.ofShared();
        Compute compute = new Compute(MathKernelSet.choose("auto"), codec, 2)) {
      Matrix own = Matrix.zeros(arena, 40, 40);
      Matrix pool = Matrix.zeros(arena, 40, 40);
      own.set(39, 2, 4);
      pool.set(39, 2, 1);
      new Shrinkage(100).apply(compute, own, 50, pool, own);
      assertThat(own.get(39, 2)).isEqualTo(2);
      float[] mixed = new Shrinkage(64).apply(new float[] {9, 5}, 0, new float[] {3, 1});
      assertThat(mixed).containsExactly(3, 1);
      assertThatThrownBy(() -> new Shrinkage(0)).hasMessageContaining("kappa");
      assertThatThrownBy(() -> new Shrinkage(1).apply(new float[1], 1, new float[2]))
          .hasMessageContaining("1 and 2");
    }
  }
}
