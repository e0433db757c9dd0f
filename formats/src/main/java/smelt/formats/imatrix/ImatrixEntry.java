package smelt.formats.imatrix;

import java.util.Arrays;

/// What was seen at the input of one weight: for each of its matrices (one, or one for each expert)
/// and each of a matrix's columns the sum of squares, and the number of rows that they are sums of.
public final class ImatrixEntry {

  private final float[] sums;
  private final float[] counts;

  /// @param sums of squares, matrix after matrix; finite, not negative; copied
  /// @param counts rows of each matrix, 0 for an expert that was not seen; or one for all matrices;
  ///   copied
  /// @throws IllegalArgumentException if sums are not as many for each count, or a number is none
  ///   of these
  public ImatrixEntry(float[] sums, float[] counts) {
    if (counts.length == 0 || sums.length == 0 || sums.length % counts.length != 0) {
      throw new IllegalArgumentException(sums.length + " sums for " + counts.length + " counts");
    }
    require("sum", sums);
    require("count", counts);
    this.sums = sums.clone();
    this.counts = counts.clone();
  }

  private static void require(String what, float[] numbers) {
    for (int i = 0; i < numbers.length; i++) {
      if (!(numbers[i] >= 0 && numbers[i] <= Float.MAX_VALUE)) {
        throw new IllegalArgumentException(what + " " + i + " is " + numbers[i]);
      }
    }
  }

  /// A copy of the sums of squares.
  public float[] sums() {
    return sums.clone();
  }

  /// A copy of the counts.
  public float[] counts() {
    return counts.clone();
  }

  /// Number of sums.
  public int size() {
    return sums.length;
  }

  /// Number of counts.
  public int countSize() {
    return counts.length;
  }

  /// The count of the matrix that holds a number.
  float countOf(int index) {
    return counts[index / (sums.length / counts.length)];
  }

  float sum(int index) {
    return sums[index];
  }

  /// The mean of the squares of each column of one matrix; as llama.cpp has it, 1 for each column
  /// of a matrix that was not seen.
  ///
  /// @param matrix from 0: the expert, or 0
  /// @param cols columns of a matrix
  /// @throws IllegalArgumentException if there is no such matrix of as many columns
  public float[] meanSquares(int matrix, int cols) {
    if (cols < 1 || sums.length % cols != 0) {
      throw new IllegalArgumentException(
          sums.length + " sums for matrices of " + cols + " columns");
    }
    int matrices = sums.length / cols;
    if (matrix < 0 || matrix >= matrices || (counts.length != 1 && counts.length != matrices)) {
      throw new IllegalArgumentException(
          "matrix " + matrix + " of " + matrices + " with " + counts.length + " counts");
    }
    float[] means = new float[cols];
    for (int c = 0; c < cols; c++) {
      int index = matrix * cols + c;
      float count = countOf(index);
      means[c] = count == 0 ? 1 : sums[index] / count;
    }
    return means;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof ImatrixEntry entry
        && Arrays.equals(sums, entry.sums)
        && Arrays.equals(counts, entry.counts);
  }

  @Override
  public int hashCode() {
    return 31 * Arrays.hashCode(sums) + Arrays.hashCode(counts);
  }
}
