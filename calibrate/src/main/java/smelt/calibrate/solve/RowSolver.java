package smelt.calibrate.solve;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static smelt.calibrate.math.Matrix.F32;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import smelt.calibrate.math.Matrix;
import smelt.formats.codec.Kernels;
import smelt.formats.codec.NonFiniteException;

/// Chooses codes and scales of rows of a weight. What a row gets depends on that row alone, not on
/// how rows are handed over or by how many threads.
///
/// | method | codes up to 127 | codes up to 7 |
/// |---|---|---|
/// | `Rounding` | `absmax / 127` | the least squared error: for F32 by the histogram of the CPU layouts, for BF16 the best of all BF16 |
/// | `Weighted` | the least weighted squared error of all scales that can be stored | the same |
/// | `Gptq` | scales of `Weighted`, codes by GPTQ | the same |
///
/// A row or group whose codes are all 0, since it has nothing but zeros or numbers too small for a
/// normal scale, gets the scale that codecs store there: 0 for four bits with an F32, else 1.
///
/// One solver serves one thread.
public final class RowSolver {

  private final RowGrid grid;

  private final int cols;
  private final int groups;
  private final Rows rows;

  /// Some rows, all finite.
  private interface Rows {
    void solve(Matrix rows, MemorySegment codes, MemorySegment scales);
  }

  /// @param codec by which `Rounding` rounds
  /// @param cols weights of a row
  /// @param memory `bytes` of it, which this keeps; it need not be shared
  /// @throws IllegalArgumentException if `cols` does not fit the grid or the method
  public RowSolver(Kernels codec, RowGrid grid, Method method, int cols, SegmentAllocator memory) {
    this.grid = grid;
    this.cols = cols;
    this.groups = grid.groups(cols);
    this.rows =
        switch (method) {
          case Method.Rounding _ -> rounding(new PlainRounding(codec, grid, cols, memory));
          case Method.Weighted weighted -> weighted(weighted.importance());
          case Method.Gptq gptq -> feedback(new Feedback(grid, gptq, cols, memory));
        };
  }

  /// Bytes of memory for rows of `cols` weights.
  public static long bytes(RowGrid grid, Method method, int cols) {
    return switch (method) {
      case Method.Rounding _ -> PlainRounding.bytes(grid, cols);
      case Method.Weighted _ -> 0;
      case Method.Gptq _ -> Feedback.bytes(cols);
    };
  }

  /// Bytes of memory with which any method can do rows of `cols` weights.
  public static long mostBytes(RowGrid grid, int cols) {
    return Math.max(PlainRounding.bytes(grid, cols), Feedback.bytes(cols));
  }

  /// Chooses codes and scales.
  ///
  /// @param weights any number of rows
  /// @param codes gets one signed byte for each weight, row after row
  /// @param scales gets one F32 for each group, row after row
  /// @throws NonFiniteException if a weight is not finite
  public void solve(Matrix weights, MemorySegment codes, MemorySegment scales) {
    if (weights.cols() != cols) {
      throw new IllegalArgumentException("rows of " + weights.cols() + " weights, not " + cols);
    }
    for (long row = 0; row < weights.rows(); row++) {
      requireFinite(weights, row);
    }
    rows.solve(weights, codes, scales);
  }

  private static void requireFinite(Matrix weights, long row) {
    for (long col = 0; col < weights.cols(); col++) {
      float weight = weights.data().get(F32, weights.at(row, col));
      if (!(Math.abs(weight) <= Float.MAX_VALUE)) {
        throw new NonFiniteException(new NonFiniteException.Place.Weight(row, col), weight);
      }
    }
  }

  private long scaleAt(long row) {
    return Math.multiplyExact(row * groups, (long) Float.BYTES);
  }

  private Rows rounding(PlainRounding plain) {
    return (weights, codes, scales) -> {
      for (long row = 0; row < weights.rows(); row++) {
        long from = weights.at(row, 0);
        plain.round(weights.data(), from, codes, row * cols, scales, scaleAt(row));
      }
    };
  }

  private Rows feedback(Feedback feedback) {
    return (weights, codes, scales) -> {
      for (long row = 0; row < weights.rows(); row += Feedback.ROWS) {
        Matrix some = weights.rows(row, Math.min(Feedback.ROWS, weights.rows() - row));
        feedback.solve(some, codes, row * cols, scales, scaleAt(row));
      }
    };
  }

  private Rows weighted(float[] importance) {
    if (importance.length != cols) {
      throw new IllegalArgumentException(
          "rows of " + cols + " weights, importance of " + importance.length + " columns");
    }
    ScaleWalk walk = new ScaleWalk(grid);
    float[] numbers = new float[cols];
    byte[] coded = new byte[cols];
    return (weights, codes, scales) -> {
      for (long row = 0; row < weights.rows(); row++) {
        MemorySegment.copy(weights.data(), F32, weights.at(row, 0), numbers, 0, cols);
        for (int g = 0; g < groups; g++) {
          int from = g * grid.group();
          float scale = walk.search(numbers, importance, from, grid.group());
          for (int i = from; i < from + grid.group(); i++) {
            coded[i] = scale == 0 ? 0 : grid.code(numbers[i], scale);
          }
          float stored = scale == 0 ? grid.emptyScale() : scale;
          scales.set(F32, scaleAt(row) + (long) Float.BYTES * g, stored);
        }
        MemorySegment.copy(coded, 0, codes, JAVA_BYTE, row * cols, cols);
      }
    };
  }
}
