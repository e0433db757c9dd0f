package smelt.calibrate.solve;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import smelt.calibrate.math.Matrix;
import smelt.formats.codec.Kernels;

/// Holds what a solver chose against plain rounding, on tokens that the solver has not seen, and
/// keeps the better of both for each row. One serves one thread.
public final class NeverWorse {

  private final RowGrid grid;
  private final int cols;
  private final RowSolver plain;
  private final Outputs outputs;
  private final MemorySegment plainCodes;
  private final MemorySegment plainScales;

  /// What was kept of some rows.
  ///
  /// @param rows how many
  /// @param plainRows those, in rising order, that plain rounding serves better
  /// @param plainError squared error of the outputs of all rows, for a token, had all been rounded
  /// @param solvedError the same had all been kept as the solver chose
  /// @param keptError the same as they are: no more than either
  public record Kept(
      long rows, List<Long> plainRows, double plainError, double solvedError, double keptError) {

    /// Of no rows.
    public static final Kept NONE = new Kept(0, List.of(), 0, 0, 0);

    public Kept {
      plainRows = List.copyOf(plainRows);
    }

    /// Of these rows and those of `next`, which follow.
    public Kept plus(Kept next) {
      return new Kept(
          rows + next.rows,
          Stream.concat(plainRows.stream(), next.plainRows.stream().map(row -> rows + row))
              .toList(),
          plainError + next.plainError,
          solvedError + next.solvedError,
          keptError + next.keptError);
    }
  }

  /// @param heldOut second moments of tokens that no solver used
  /// @param memory `bytes` of it
  public NeverWorse(
      Kernels codec,
      SolveKernels kernels,
      RowGrid grid,
      Moments heldOut,
      int cols,
      SegmentAllocator memory) {
    this.grid = grid;
    this.cols = cols;
    this.plain = new RowSolver(codec, grid, new Method.Rounding(), cols, memory);
    this.outputs = new Outputs(kernels, grid, heldOut, cols, memory);
    this.plainCodes = memory.allocate((long) Outputs.ROWS * cols, 64);
    this.plainScales = memory.allocate(scaleBytes(Outputs.ROWS), 64);
  }

  /// Bytes of memory for rows of `cols` weights.
  public static long bytes(RowGrid grid, int cols) {
    return RowSolver.bytes(grid, new Method.Rounding(), cols)
        + Outputs.bytes(cols)
        + Math.multiplyExact((long) Outputs.ROWS, cols + 4L * grid.groups(cols))
        + 128;
  }

  private long scaleBytes(long rows) {
    return Matrix.bytes(rows, grid.groups(cols));
  }

  /// Replaces codes and scales of rows that plain rounding serves better.
  ///
  /// @param weights as they were before a solver
  /// @param codes one signed byte for each weight, row after row
  /// @param scales one F32 for each group, row after row
  public Kept keepBetter(Matrix weights, MemorySegment codes, MemorySegment scales) {
    Kept kept = Kept.NONE;
    for (long first = 0; first < weights.rows(); first += Outputs.ROWS) {
      long count = Math.min(Outputs.ROWS, weights.rows() - first);
      MemorySegment someCodes = codes.asSlice(first * cols, count * cols);
      MemorySegment someScales = scales.asSlice(scaleBytes(first), scaleBytes(count));
      kept = kept.plus(keepBetterOf(weights.rows(first, count), someCodes, someScales));
    }
    return kept;
  }

  private Kept keepBetterOf(Matrix weights, MemorySegment codes, MemorySegment scales) {
    plain.solve(weights, plainCodes, plainScales);
    double[] before = errors(weights, plainCodes, plainScales);
    double[] solved = errors(weights, codes, scales);
    List<Long> plainRows = new ArrayList<>();
    double plainError = 0;
    double solvedError = 0;
    double keptError = 0;
    for (int r = 0; r < solved.length; r++) {
      boolean isBetter = solved[r] <= before[r];
      if (!isBetter) {
        plainRows.add((long) r);
        MemorySegment.copy(plainCodes, (long) r * cols, codes, (long) r * cols, cols);
        long at = scaleBytes(r);
        MemorySegment.copy(plainScales, at, scales, at, scaleBytes(1));
      }
      plainError += before[r];
      solvedError += solved[r];
      keptError += isBetter ? solved[r] : before[r];
    }
    return new Kept(solved.length, plainRows, plainError, solvedError, keptError);
  }

  private double[] errors(Matrix weights, MemorySegment codes, MemorySegment scales) {
    int count = Math.toIntExact(weights.rows());
    for (int r = 0; r < count; r++) {
      outputs.takeErrors(r, weights, codes, (long) r * cols, scales, scaleBytes(r));
    }
    outputs.multiply(count);
    double[] errors = new double[count];
    for (int r = 0; r < count; r++) {
      errors[r] = outputs.square(r);
    }
    return errors;
  }
}
