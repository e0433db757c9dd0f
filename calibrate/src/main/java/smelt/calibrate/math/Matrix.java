package smelt.calibrate.math;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.foreign.ValueLayout;
import java.util.Objects;

/// A matrix of F32 numbers in memory that somebody else owns: `rows` rows of `cols` numbers, the
/// first number of a row `stride` numbers behind that of the row before. A view costs nothing: rows
/// and columns of a matrix are matrices.
///
/// @param offset byte offset of the first number in `data`
/// @param stride numbers from row to row, at least `cols`
public record Matrix(MemorySegment data, long offset, long rows, long cols, long stride) {

  /// How numbers lie in memory; they need not be aligned.
  public static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED;

  public Matrix {
    if (rows < 0 || cols < 0 || stride < cols) {
      throw new IllegalArgumentException(rows + " x " + cols + ", stride " + stride);
    }
    Objects.checkFromIndexSize(offset, span(rows, cols, stride), data.byteSize());
  }

  private static long span(long rows, long cols, long stride) {
    if (rows == 0) {
      return 0;
    }
    long numbers = Math.addExact(Math.multiplyExact(rows - 1, stride), cols);
    return Math.multiplyExact(numbers, Float.BYTES);
  }

  /// Bytes of a matrix whose rows follow each other.
  public static long bytes(long rows, long cols) {
    return Math.multiplyExact(Math.multiplyExact(rows, cols), Float.BYTES);
  }

  /// A new matrix of zeros.
  public static Matrix zeros(SegmentAllocator memory, long rows, long cols) {
    return new Matrix(memory.allocate(bytes(rows, cols), 64), 0, rows, cols, cols);
  }

  /// A row of numbers that are copied.
  public static Matrix ofRow(SegmentAllocator memory, float... numbers) {
    Matrix row = zeros(memory, 1, numbers.length);
    MemorySegment.copy(numbers, 0, row.data, F32, 0, numbers.length);
    return row;
  }

  /// Byte offset of a number in `data`.
  public long at(long row, long col) {
    return offset + (row * stride + col) * Float.BYTES;
  }

  public float get(long row, long col) {
    Objects.checkIndex(row, rows);
    Objects.checkIndex(col, cols);
    return data.get(F32, at(row, col));
  }

  public void set(long row, long col, float value) {
    Objects.checkIndex(row, rows);
    Objects.checkIndex(col, cols);
    data.set(F32, at(row, col), value);
  }

  /// A view of `count` rows from `first` on.
  public Matrix rows(long first, long count) {
    Objects.checkFromIndexSize(first, count, rows);
    return new Matrix(data, count == 0 ? offset : at(first, 0), count, cols, stride);
  }

  /// A view of `count` columns from `first` on.
  public Matrix columns(long first, long count) {
    Objects.checkFromIndexSize(first, count, cols);
    return new Matrix(data, rows == 0 ? offset : at(0, first), rows, count, stride);
  }
}
