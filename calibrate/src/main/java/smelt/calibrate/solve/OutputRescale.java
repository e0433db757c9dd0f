package smelt.calibrate.solve;

import static smelt.calibrate.math.Matrix.F32;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import smelt.calibrate.math.Matrix;

/// Fits the one scale of each row once more to the output, its codes given: with `v` what they
/// stand for, the scale is multiplied by `(v H w) / (v H v)`, which leaves the least error there.
/// For thread by thread use, as [RowSolver].
public final class OutputRescale {

  /// What sums round away, relative: less is no gain.
  private static final double LEAST = 1e-6;

  private final RowGrid grid;
  private final int cols;
  private final Outputs outputs;

  /// @param moments of the tokens that scales are to fit, not those that they are judged by
  /// @param memory `bytes` of it
  /// @throws IllegalArgumentException if rows have more than one scale
  public OutputRescale(
      SolveKernels kernels, RowGrid grid, Moments moments, int cols, SegmentAllocator memory) {
    if (grid.groups(cols) != 1) {
      throw new IllegalArgumentException(
          "rows of " + cols + " weights in groups of " + grid.group() + ", not one scale a row");
    }
    this.grid = grid;
    this.cols = cols;
    this.outputs = new Outputs(kernels, grid, moments, cols, memory);
  }

  /// Bytes of memory for rows of `cols` weights.
  public static long bytes(int cols) {
    return Outputs.bytes(cols);
  }

  /// Changes the scales of those rows that gain.
  ///
  /// @param codes one signed byte for each weight, row after row
  /// @param scales one F32 for each row
  /// @return how many rows have another scale now
  public long apply(Matrix weights, MemorySegment codes, MemorySegment scales) {
    long changed = 0;
    for (long first = 0; first < weights.rows(); first += Outputs.ROWS) {
      int count = (int) Math.min(Outputs.ROWS, weights.rows() - first);
      for (int r = 0; r < count; r++) {
        outputs.takeValues(r, codes, (first + r) * cols, scales, Float.BYTES * (first + r));
      }
      outputs.multiply(count);
      Matrix some = weights.rows(first, count);
      double[] withWeights = new double[count];
      double[] withItself = new double[count];
      for (int r = 0; r < count; r++) {
        withWeights[r] = outputs.dot(r, some);
        withItself[r] = outputs.square(r);
        outputs.takeWeights(r, some);
      }
      outputs.multiply(count);
      for (int r = 0; r < count; r++) {
        long row = first + r;
        withWeights[r] += outputs.dotValues(r, codes, row * cols, scales, Float.BYTES * row);
        changed += refit(withWeights[r] / 2, withItself[r], scales, row) ? 1 : 0;
      }
    }
    return changed;
  }

  private boolean refit(double withWeights, double withItself, MemorySegment scales, long row) {
    float scale = scales.get(F32, Float.BYTES * row);
    double wanted = scale * (withWeights / withItself);
    float fitted = grid.scaleType().nearest((float) wanted);
    boolean gains =
        fitted >= Float.MIN_NORMAL
            && fitted <= Float.MAX_VALUE
            && Math.abs(scale - wanted) > LEAST * scale
            && Math.abs(fitted - wanted) < Math.abs(scale - wanted);
    if (gains) {
      scales.set(F32, Float.BYTES * row, fitted);
    }
    return gains;
  }
}
