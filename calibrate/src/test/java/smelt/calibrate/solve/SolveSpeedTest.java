package smelt.calibrate.solve;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.Isolated;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.solve.Method.Gptq;
import smelt.calibrate.solve.RowGrid.ScaleType;
import smelt.formats.codec.KernelSet;

/// Guards against a silent fall in speed of the vector kernel, which results do not show. `main`
/// prints how fast solvers are.
@Isolated
class SolveSpeedTest {

  /// Narrow vectors are several times as fast; a kernel that boxes its vectors is slower than
  /// scalar.
  private static final double LEAST = 2;

  private static final long PATIENCE_NANOS = 20_000_000_000L;

  @Test
  void theVectorKernelIsSomeTimesFasterThanTheScalarOne() {
    SolveKernels vector = SolveKernelSet.choose("vector");
    SolveKernels scalar = SolveKernelSet.choose("scalar");
    try (Arena arena = Arena.ofConfined()) {
      Matrix rows = Matrix.zeros(arena, 48, 128);
      Matrix panel = Matrix.zeros(arena, 128, 128);
      Matrix out = Matrix.zeros(arena, 48, 128);
      long[] best = {Long.MAX_VALUE, Long.MAX_VALUE};
      long start = System.nanoTime();
      do {
        for (int round = 0; round < 20; round++) {
          best[0] = Math.min(best[0], nanos(vector, rows, panel, out));
          best[1] = Math.min(best[1], nanos(scalar, rows, panel, out));
        }
      } while (best[1] < LEAST * best[0] && System.nanoTime() - start < PATIENCE_NANOS);
      assertThat(best[1] / (double) best[0]).isGreaterThan(LEAST);
    }
  }

  private static long nanos(SolveKernels kernels, Matrix rows, Matrix panel, Matrix out) {
    long start = System.nanoTime();
    kernels.accumulate(rows.data(), 0, 512, 48, panel.data(), 0, 512, 128, out.data(), 0, 512, 128);
    return System.nanoTime() - start;
  }

  /// Times the factor of `n` columns (by default 2048) and rows of three methods, on `threads`
  /// threads for the factor and one for the rows, three rounds each.
  static void main(String[] args) {
    int n = args.length > 0 ? Integer.parseInt(args[0]) : 2048;
    int threads = args.length > 1 ? Integer.parseInt(args[1]) : 2;
    try (Arena arena = Arena.ofShared();
        Compute compute =
            new Compute(MathKernelSet.choose("auto"), KernelSet.choose("auto"), threads)) {
      Matrix moments = moments(arena, compute, n);
      HessianFactor factor = null;
      for (int round = 0; round < 3; round++) {
        long start = System.nanoTime();
        factor =
            HessianFactor.of(
                compute,
                SolveKernelSet.choose("auto"),
                moments,
                Damping.LIGHT,
                ColumnOrder.DESCENDING,
                arena);
        print("factor, " + threads + " threads", start, (double) n * n * n / 3, n);
      }
      Matrix weights = Matrix.zeros(arena, 480, n);
      fill(weights, new Random(92));
      RowGrid grid = RowGrid.wholeRow(n, 7, ScaleType.F32);
      rows(arena, grid, new Method.Rounding(), weights);
      rows(arena, grid, new Method.Weighted(factor.diagonal()), weights);
      rows(arena, grid, new Gptq(factor), weights);
      RowGrid groups = new RowGrid(32, 7, ScaleType.BF16);
      rows(arena, groups, new Method.Rounding(), weights);
      rows(arena, groups, new Method.Weighted(factor.diagonal()), weights);
      rows(arena, groups, new Gptq(factor), weights);
    }
  }

  private static void fill(Matrix matrix, Random random) {
    for (int r = 0; r < matrix.rows(); r++) {
      for (int c = 0; c < matrix.cols(); c++) {
        matrix.set(r, c, (float) random.nextGaussian());
      }
    }
  }

  private static Matrix moments(Arena arena, Compute compute, int n) {
    Matrix x = Matrix.zeros(arena, n, n / 2);
    fill(x, new Random(91));
    Matrix moments = Matrix.zeros(arena, n, n);
    compute.multiply(x, x, moments);
    return moments;
  }

  private static void rows(Arena arena, RowGrid grid, Method method, Matrix weights) {
    int n = (int) weights.cols();
    MemorySegment codes = arena.allocate(weights.rows() * n);
    MemorySegment scales = arena.allocate(4 * weights.rows() * grid.groups(n));
    RowSolver solver = new RowSolver(KernelSet.choose("auto"), grid, method, n, arena);
    for (int round = 0; round < 3; round++) {
      long start = System.nanoTime();
      solver.solve(weights, codes, scales);
      String name = method.getClass().getSimpleName() + ", groups of " + grid.group();
      print(name, start, (double) weights.rows() * n * n, (double) weights.rows() * n);
    }
  }

  private static void print(String name, long start, double operations, double numbers) {
    double nanos = System.nanoTime() - start;
    System.out.printf(
        "%-28s %9.1f ms, %6.1f GFLOP/s, %7.1f ns a number%n",
        name, nanos / 1e6, operations / nanos, nanos / numbers);
  }
}
