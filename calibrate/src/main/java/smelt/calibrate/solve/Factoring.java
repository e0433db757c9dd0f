package smelt.calibrate.solve;

import static smelt.calibrate.math.Matrix.F32;
import static smelt.calibrate.solve.HessianFactor.BLOCK;
import static smelt.calibrate.solve.HessianFactor.BLOCK_BYTES;
import static smelt.calibrate.solve.HessianFactor.blockAt;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.Matrix;

/// Factors `H = R RT` with `R` upper triangular, block column after block column from the last to
/// the first, then divides each column by its number on the diagonal.
///
/// For block column `k`: `S[i][k] = H[i][k] - sum over j > k of R[i][j] R[k][j]T` for `i <= k`, a
/// chain of F32 multiply-adds in the order of the columns for each number; `S[k][k] = R[k][k]
/// R[k][k]T` and the inverse of `R[k][k]` in F64; `R[i][k] = S[i][k] inverse(R[k][k])T` for `i <
/// k`.
///
/// Without rounding each pivot, the square of a number on the diagonal, is at least what was added
/// to the diagonal of `H`. One that is less than half of that has been lost to rounding, or `H` has
/// negative directions: both need more damping.
final class Factoring {

  private static final double LEAST_PIVOT = 0.5;

  private final Compute compute;
  private final SolveKernels kernels;
  private final Matrix hessian;
  private final int[] columns;
  private final MemorySegment blocks;
  private final int count;

  /// Minus the transposed blocks of the row that is worked on; a place for each block.
  private final MemorySegment turned;

  /// A place for each block of the column that is worked on.
  private final MemorySegment solved;

  private final double[][] diagonalBlock = new double[BLOCK][BLOCK];
  private final double[][] inverse = new double[BLOCK][BLOCK];

  Factoring(
      Compute compute,
      SolveKernels kernels,
      Matrix hessian,
      int[] columns,
      MemorySegment blocks,
      SegmentAllocator scratch) {
    this.compute = compute;
    this.kernels = kernels;
    this.hessian = hessian;
    this.columns = columns;
    this.blocks = blocks;
    this.count = Math.ceilDiv(columns.length, BLOCK);
    this.turned = scratch.allocate(BLOCK_BYTES * count, 64);
    this.solved = scratch.allocate(BLOCK_BYTES * count, 64);
  }

  static long scratchBytes(long blocks) {
    return Math.multiplyExact(2 * blocks, BLOCK_BYTES) + 2L * Double.BYTES * BLOCK * BLOCK;
  }

  /// @param added to the diagonal
  /// @return whether that was enough
  boolean run(double added) {
    for (int k = count - 1; k >= 0; k--) {
      int col = k;
      compute.each(count - 1 - k, task -> turn(col, col + 1 + task));
      compute.each(k + 1, row -> subtract(row, col, added));
      if (!factorDiagonal(k, LEAST_PIVOT * added)) {
        return false;
      }
      compute.each(k, row -> solve(row, col));
    }
    compute.each(count, this::divide);
    return true;
  }

  private static long at(int row, int col) {
    return (long) Float.BYTES * (row * BLOCK + col);
  }

  private void turn(int row, int col) {
    long from = blockAt(row, col);
    long to = BLOCK_BYTES * col;
    for (int r = 0; r < BLOCK; r++) {
      for (int c = 0; c < BLOCK; c++) {
        turned.set(F32, to + at(c, r), -blocks.get(F32, from + at(r, c)));
      }
    }
  }

  private void subtract(int row, int col, double added) {
    long to = blockAt(row, col);
    fill(row, col, added);
    for (int j = col + 1; j < count; j++) {
      long from = blockAt(row, j);
      multiply(from, BLOCK_BYTES * j, blocks, to);
    }
  }

  /// Adds the product of a block and a turned one.
  private void multiply(long block, long turnedBlock, MemorySegment out, long to) {
    long stride = at(1, 0);
    kernels.accumulate(
        blocks, block, stride, BLOCK, turned, turnedBlock, stride, BLOCK, out, to, stride, BLOCK);
  }

  private void fill(int row, int col, double added) {
    long to = blockAt(row, col);
    for (int r = 0; r < BLOCK; r++) {
      for (int c = 0; c < BLOCK; c++) {
        blocks.set(F32, to + at(r, c), number(row * BLOCK + r, col * BLOCK + c, added));
      }
    }
  }

  /// A number of what is factored. Columns beyond the last have 1 on the diagonal and else zeros.
  private float number(int i, int j, double added) {
    if (i >= columns.length || j >= columns.length) {
      return i == j ? (float) Math.max(1, added) : 0;
    }
    int first = Math.min(columns[i], columns[j]);
    int second = Math.max(columns[i], columns[j]);
    float moment = hessian.get(first, second);
    if (!(Math.abs(moment) <= Float.MAX_VALUE)) {
      throw new IllegalArgumentException(
          "second moment of channels " + first + " and " + second + " is " + moment);
    }
    return i == j ? (float) (moment + added) : moment;
  }

  /// Factors and inverts the block on the diagonal, and leaves the inverse, transposed, in `turned`
  /// at its place.
  private boolean factorDiagonal(int k, double least) {
    long at = blockAt(k, k);
    for (int r = 0; r < BLOCK; r++) {
      for (int c = 0; c < BLOCK; c++) {
        diagonalBlock[r][c] = blocks.get(F32, at + at(r, c));
      }
    }
    if (!factor(diagonalBlock, least)) {
      return false;
    }
    invert(diagonalBlock, inverse);
    for (int r = 0; r < BLOCK; r++) {
      for (int c = 0; c < BLOCK; c++) {
        blocks.set(F32, at + at(r, c), c < r ? 0 : (float) diagonalBlock[r][c]);
        turned.set(F32, BLOCK_BYTES * k + at(c, r), c < r ? 0 : (float) inverse[r][c]);
      }
    }
    return true;
  }

  /// Replaces the upper half of `s` by the upper triangular `r` with `s = r rT`.
  private static boolean factor(double[][] s, double least) {
    double[] column = new double[BLOCK];
    for (int k = BLOCK - 1; k >= 0; k--) {
      double pivot = s[k][k];
      if (!(pivot >= least && pivot > 0)) {
        return false;
      }
      double root = Math.sqrt(pivot);
      s[k][k] = root;
      for (int i = 0; i < k; i++) {
        s[i][k] /= root;
        column[i] = s[i][k];
      }
      for (int i = 0; i < k; i++) {
        double factor = column[i];
        double[] row = s[i];
        for (int c = i; c < k; c++) {
          row[c] -= factor * column[c];
        }
      }
    }
    return true;
  }

  /// The inverse of the upper triangular `r`.
  private static void invert(double[][] r, double[][] inverse) {
    for (int i = BLOCK - 1; i >= 0; i--) {
      double[] row = inverse[i];
      for (int c = 0; c < BLOCK; c++) {
        row[c] = c == i ? 1 : 0;
      }
      for (int k = i + 1; k < BLOCK; k++) {
        double factor = r[i][k];
        double[] below = inverse[k];
        for (int c = k; c < BLOCK; c++) {
          row[c] -= factor * below[c];
        }
      }
      double pivot = r[i][i];
      for (int c = i; c < BLOCK; c++) {
        row[c] /= pivot;
      }
    }
  }

  private void solve(int row, int col) {
    long from = blockAt(row, col);
    long to = BLOCK_BYTES * row;
    solved.asSlice(to, BLOCK_BYTES).fill((byte) 0);
    multiply(from, BLOCK_BYTES * col, solved, to);
    MemorySegment.copy(solved, to, blocks, from, BLOCK_BYTES);
  }

  private void divide(int col) {
    float[] diagonal = new float[BLOCK];
    for (int c = 0; c < BLOCK; c++) {
      diagonal[c] = blocks.get(F32, blockAt(col, col) + at(c, c));
    }
    for (int row = 0; row <= col; row++) {
      for (int r = 0; r < BLOCK; r++) {
        for (int c = 0; c < BLOCK; c++) {
          long place = blockAt(row, col) + at(r, c);
          blocks.set(F32, place, blocks.get(F32, place) / diagonal[c]);
        }
      }
    }
  }
}
