package smelt.calibrate.smooth;

import static smelt.calibrate.math.Matrix.F32;

import java.lang.foreign.MemorySegment;
import java.util.Optional;

/// The factors of a weight's rows and columns, to be multiplied with its decoded numbers. Safe for
/// several threads.
public final class FoldedRows {

  private final Optional<float[]> rows;
  private final Optional<float[]> columns;

  FoldedRows(Optional<float[]> rows, Optional<float[]> columns) {
    this.rows = rows;
    this.columns = columns;
  }

  /// Multiplies some whole rows in place.
  ///
  /// @param first number of the first row in the weight
  /// @param count how many rows
  /// @param cols numbers of a row
  /// @param values F32, one row behind the other
  /// @param offset byte offset of the first number
  public void multiply(long first, long count, int cols, MemorySegment values, long offset) {
    for (int i = 0; i < count; i++) {
      long at = offset + (long) i * cols * Float.BYTES;
      float row = rows.isPresent() ? rows.get()[Math.toIntExact(first + i)] : 1;
      if (columns.isPresent()) {
        float[] factors = columns.get();
        for (int c = 0; c < cols; c++) {
          long here = at + (long) c * Float.BYTES;
          values.set(F32, here, values.get(F32, here) * (row * factors[c]));
        }
      } else {
        for (int c = 0; c < cols; c++) {
          long here = at + (long) c * Float.BYTES;
          values.set(F32, here, values.get(F32, here) * row);
        }
      }
    }
  }
}
