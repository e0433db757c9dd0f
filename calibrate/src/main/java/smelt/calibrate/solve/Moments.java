package smelt.calibrate.solve;

import smelt.calibrate.math.Matrix;

/// Second moments of a linear's input, by which errors of weights become errors of the output: the
/// mean of `(d x)^2` for a row of errors `d` is `d H dT`.
public sealed interface Moments {

  /// Number of channels.
  long size();

  /// All of them.
  ///
  /// @param matrix `n x n`, symmetric: the mean of `x xT`
  record Full(Matrix matrix) implements Moments {
    public Full {
      if (matrix.rows() != matrix.cols()) {
        throw new IllegalArgumentException(
            "second moments of " + matrix.rows() + " x " + matrix.cols());
      }
    }

    @Override
    public long size() {
      return matrix.rows();
    }
  }

  /// Those of each channel with itself, as if channels had nothing to do with each other.
  final class Diagonal implements Moments {

    private final float[] meanSquares;

    /// @param meanSquares of each channel; copied
    public Diagonal(float[] meanSquares) {
      this.meanSquares = meanSquares.clone();
    }

    float[] meanSquares() {
      return meanSquares;
    }

    @Override
    public long size() {
      return meanSquares.length;
    }
  }
}
