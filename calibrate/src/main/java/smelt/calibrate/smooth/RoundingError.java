package smelt.calibrate.smooth;

import java.util.List;
import smelt.calibrate.observe.InputStats;

/// What rounding a pair's channels and the weights that read them to INT8 is expected to cost: the
/// energy of the noise in the products by the energy of the products, as a mean over the weights.
/// Activations are rounded with a scale for each token, weights with one for each row, both
/// symmetrically to 127 steps; a rounded number is off by `scale^2 / 12` in the mean square.
///
/// With inputs `x / s` and weights `w * s`, of a weight with rows `r` and columns `c`:
///
/// ```
/// noise  = (E max_c(x / s)^2 * sum w^2 s^2 + sum_r max_c(w s)^2 * sum_c E x^2 / s^2) / (12 * 127^2)
/// energy = sum w^2 E x^2
/// ```
///
/// `sum_r` is extended from the sampled rows. Inputs are taken to be uncorrelated.
final class RoundingError {

  private static final double STEPS_SQUARED = 127.0 * 127 * 12;

  private final TokenMaximum maximum;
  private final float[] meanSquare;
  private final List<ColumnStats> weights;
  private final double[] energies;

  /// Of each column `sum w^2 / energy` over all weights.
  private final double[] sensitivity;

  RoundingError(InputStats input, List<ColumnStats> weights) {
    maximum = new TokenMaximum(input);
    meanSquare = input.channelMeanSquare();
    this.weights = weights;
    energies = weights.stream().mapToDouble(this::energy).toArray();
    sensitivity = new double[meanSquare.length];
    for (int w = 0; w < energies.length; w++) {
      for (int c = 0; c < sensitivity.length && energies[w] > 0; c++) {
        sensitivity[c] += weights.get(w).sumSquares(c) / energies[w];
      }
    }
  }

  private double energy(ColumnStats weight) {
    double energy = 0;
    for (int c = 0; c < meanSquare.length; c++) {
      energy += weight.sumSquares(c) * meanSquare[c];
    }
    return energy;
  }

  /// @param factors of the columns
  double of(float[] factors) {
    double gain = 0;
    double input = 0;
    for (int c = 0; c < factors.length; c++) {
      double square = (double) factors[c] * factors[c];
      gain += sensitivity[c] * square;
      input += meanSquare[c] / square;
    }
    double noise = maximum.meanSquare(factors) * gain;
    for (int w = 0; w < energies.length; w++) {
      if (energies[w] > 0) {
        noise += rowMaxima(weights.get(w), factors) * input / energies[w];
      }
    }
    return noise / STEPS_SQUARED / Math.max(1, energies.length);
  }

  private static double rowMaxima(ColumnStats stats, float[] factors) {
    double sum = 0;
    for (int i = 0; i < stats.sampled(); i++) {
      double largest = stats.largest(i, factors);
      sum += largest * largest;
    }
    return sum * stats.weight().shape().dim(0) / stats.sampled();
  }
}
