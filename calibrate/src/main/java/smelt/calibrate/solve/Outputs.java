package smelt.calibrate.solve;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static smelt.calibrate.math.Matrix.F32;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import smelt.calibrate.math.Matrix;

/// Measures what rows of weights, or of their errors, come to at the output. Sums of products with
/// second moments are chains of F32 multiply-adds in the order of the channels, those of a row F64
/// in the same order: what a row gives depends on nothing but the row.
///
/// With [Moments.Blocks] a product has what lies above the diagonal twice, for what lies below it:
/// a square is the same, and what two rows come to together is the mean of one with the product of
/// the other, and the other way round.
final class Outputs {

  /// Rows that go together.
  static final int ROWS = 48;

  private static final int BLOCK = HessianFactor.BLOCK;

  private final SolveKernels kernels;
  private final RowGrid grid;
  private final Moments moments;
  private final int cols;
  private final long rowBytes;
  private final MemorySegment rows;
  private final MemorySegment products;

  Outputs(SolveKernels kernels, RowGrid grid, Moments moments, int cols, SegmentAllocator memory) {
    if (moments.size() != cols) {
      throw new IllegalArgumentException(
          "rows of " + cols + " weights, second moments of " + moments.size() + " channels");
    }
    this.kernels = kernels;
    this.grid = grid;
    this.moments = moments;
    this.cols = cols;
    this.rowBytes = Matrix.bytes(1, cols);
    this.rows = memory.allocate(Matrix.bytes(ROWS, cols), 64);
    this.products = memory.allocate(Matrix.bytes(ROWS, cols), 64);
  }

  static long bytes(int cols) {
    return 2 * (64 + Matrix.bytes(ROWS, cols));
  }

  /// Takes what the codes of a row stand for.
  void takeValues(int r, MemorySegment codes, long codesOffset, MemorySegment scales, long at) {
    for (int c = 0; c < cols; c++) {
      float scale = scales.get(F32, at + (long) Float.BYTES * (c / grid.group()));
      rows.set(F32, place(r, c), codes.get(JAVA_BYTE, codesOffset + c) * scale);
    }
  }

  /// Takes the errors of a row, weights minus what their codes stand for, each rounded once.
  void takeErrors(
      int r, Matrix weights, MemorySegment codes, long codesOffset, MemorySegment scales, long at) {
    for (int c = 0; c < cols; c++) {
      float scale = scales.get(F32, at + (long) Float.BYTES * (c / grid.group()));
      float weight = weights.data().get(F32, weights.at(r, c));
      float error = Math.fma(-scale, codes.get(JAVA_BYTE, codesOffset + c), weight);
      rows.set(F32, place(r, c), error);
    }
  }

  /// Takes the weights of a row.
  void takeWeights(int r, Matrix weights) {
    MemorySegment.copy(
        weights.data(), weights.at(r, 0), rows, place(r, 0), Math.multiplyExact(cols, Float.BYTES));
  }

  private long place(int r, int c) {
    return r * rowBytes + (long) Float.BYTES * c;
  }

  /// Multiplies what was taken, the first `count` rows, with the second moments.
  void multiply(int count) {
    switch (moments) {
      case Moments.Diagonal diagonal -> {
        for (int r = 0; r < count; r++) {
          for (int c = 0; c < cols; c++) {
            float product = diagonal.meanSquares()[c] * rows.get(F32, place(r, c));
            products.set(F32, place(r, c), product);
          }
        }
      }
      case Moments.Full(Matrix matrix) -> {
        products.asSlice(0, count * rowBytes).fill((byte) 0);
        for (int c = 0; c < cols; c += BLOCK) {
          for (int i = 0; i < cols; i += BLOCK) {
            multiply(matrix.data(), matrix.at(i, c), Float.BYTES * matrix.stride(), i, c, count);
          }
        }
      }
      case Moments.Blocks blocks -> {
        products.asSlice(0, count * rowBytes).fill((byte) 0);
        for (int c = 0; c < cols; c += BLOCK) {
          for (int i = 0; i < c; i += BLOCK) {
            multiply(blocks, i, c, count);
          }
          twice(c, count);
          multiply(blocks, c, c, count);
        }
      }
    }
  }

  private void multiply(Moments.Blocks moments, int i, int c, int count) {
    long at = HessianFactor.blockAt(i / BLOCK, c / BLOCK);
    multiply(moments.blocks(), at, (long) Float.BYTES * BLOCK, i, c, count);
  }

  /// Doubles the products of a block of columns, which is exact.
  private void twice(int c, int count) {
    for (int r = 0; r < count; r++) {
      for (int j = c; j < Math.min(cols, c + BLOCK); j++) {
        products.set(F32, place(r, j), 2 * products.get(F32, place(r, j)));
      }
    }
  }

  private void multiply(MemorySegment matrix, long at, long matrixRow, int i, int c, int count) {
    kernels.accumulate(
        rows,
        place(0, i),
        rowBytes,
        count,
        matrix,
        at,
        matrixRow,
        Math.min(BLOCK, cols - i),
        products,
        place(0, c),
        rowBytes,
        Math.min(BLOCK, cols - c));
  }

  /// The sum of what was taken times its product.
  double square(int r) {
    double sum = 0;
    for (int c = 0; c < cols; c++) {
      sum += (double) rows.get(F32, place(r, c)) * products.get(F32, place(r, c));
    }
    return sum;
  }

  /// The sum of what the codes of a row stand for times the product of what was taken.
  double dotValues(int r, MemorySegment codes, long codesOffset, MemorySegment scales, long at) {
    double sum = 0;
    for (int c = 0; c < cols; c++) {
      float scale = scales.get(F32, at + (long) Float.BYTES * (c / grid.group()));
      float value = codes.get(JAVA_BYTE, codesOffset + c) * scale;
      sum += (double) value * products.get(F32, place(r, c));
    }
    return sum;
  }

  /// The sum of weights times the product of what was taken.
  double dot(int r, Matrix weights) {
    double sum = 0;
    for (int c = 0; c < cols; c++) {
      sum += (double) weights.data().get(F32, weights.at(r, c)) * products.get(F32, place(r, c));
    }
    return sum;
  }
}
