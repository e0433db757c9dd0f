package smelt.verify.inference;

import java.lang.foreign.MemorySegment;
import java.util.function.DoubleBinaryOperator;
import smelt.calibrate.math.Matrix;

/// Sums for a signal-to-noise ratio in dB: `10 log10(sum a^2 / sum (a - b)^2)`, in FP64.
final class SqnrSums {

  private double signal;
  private double noise;

  /// Adds all numbers of `a` against those of `b`, which has the same shape.
  void add(Matrix a, Matrix b) {
    add(a, b, a, (number, _) -> number);
  }

  /// Adds `a - base` against `b - base`: what was added to `base`.
  void addChange(Matrix a, Matrix b, Matrix base) {
    add(a, b, base, (number, before) -> number - before);
  }

  private void add(Matrix a, Matrix b, Matrix base, DoubleBinaryOperator part) {
    int cols = Math.toIntExact(a.cols());
    float[] rowA = new float[cols];
    float[] rowB = new float[cols];
    float[] rowBase = new float[cols];
    for (long row = 0; row < a.rows(); row++) {
      copy(a, row, rowA);
      copy(b, row, rowB);
      copy(base, row, rowBase);
      double signalOfRow = 0;
      double noiseOfRow = 0;
      for (int i = 0; i < cols; i++) {
        double number = part.applyAsDouble(rowA[i], rowBase[i]);
        double error = (double) rowA[i] - rowB[i];
        signalOfRow += number * number;
        noiseOfRow += error * error;
      }
      signal += signalOfRow;
      noise += noiseOfRow;
    }
  }

  private static void copy(Matrix from, long row, float[] to) {
    MemorySegment.copy(from.data(), Matrix.F32, from.at(row, 0), to, 0, to.length);
  }

  /// Whether every number of `a` was finite.
  boolean signalIsFinite() {
    return Double.isFinite(signal);
  }

  /// The ratio: infinite where nothing differs, negative infinity where `b` is not finite.
  double db() {
    if (!Double.isFinite(noise)) {
      return Double.NEGATIVE_INFINITY;
    }
    return noise == 0 ? Double.POSITIVE_INFINITY : 10 * Math.log10(signal / noise);
  }
}
