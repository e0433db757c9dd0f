package smelt.calibrate.solve;

import java.util.Random;
import smelt.calibrate.math.Matrix;

/// GPTQ as its paper writes it, in F64: invert, factor the inverse, and update all columns behind
/// after each one.
final class Textbook {

  private Textbook() {}

  /// Lower Cholesky factor.
  static double[][] cholesky(double[][] a) {
    int n = a.length;
    double[][] l = new double[n][n];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j <= i; j++) {
        double sum = a[i][j];
        for (int k = 0; k < j; k++) {
          sum -= l[i][k] * l[j][k];
        }
        l[i][j] = i == j ? Math.sqrt(sum) : sum / l[j][j];
      }
    }
    return l;
  }

  static double[][] inverse(double[][] a) {
    int n = a.length;
    double[][] l = cholesky(a);
    double[][] inverse = new double[n][n];
    for (int c = 0; c < n; c++) {
      double[] y = new double[n];
      for (int i = 0; i < n; i++) {
        double sum = i == c ? 1 : 0;
        for (int k = 0; k < i; k++) {
          sum -= l[i][k] * y[k];
        }
        y[i] = sum / l[i][i];
      }
      for (int i = n - 1; i >= 0; i--) {
        double sum = y[i];
        for (int k = i + 1; k < n; k++) {
          sum -= l[k][i] * inverse[k][c];
        }
        inverse[i][c] = sum / l[i][i];
      }
    }
    return inverse;
  }

  /// Upper `u` with `uT u` the inverse of `a`.
  static double[][] upperOfInverse(double[][] a) {
    double[][] l = cholesky(inverse(a));
    int n = a.length;
    double[][] u = new double[n][n];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j <= i; j++) {
        u[j][i] = l[i][j];
      }
    }
    return u;
  }

  /// The codes of a row, with one scale, and columns in the order of `order`.
  static int[] codes(double[] weights, double scale, int largest, double[][] u, int[] order) {
    int n = weights.length;
    double[] w = new double[n];
    for (int i = 0; i < n; i++) {
      w[i] = weights[order[i]];
    }
    int[] codes = new int[n];
    for (int i = 0; i < n; i++) {
      double code = Math.clamp(Math.rint(w[i] / scale), -largest, largest);
      codes[order[i]] = (int) code;
      double error = (w[i] - scale * code) / u[i][i];
      for (int j = i; j < n; j++) {
        w[j] -= error * u[i][j];
      }
    }
    return codes;
  }

  /// Second moments of `tokens` correlated inputs of `n` channels, some of them loud.
  static double[][] moments(Random random, int n, int tokens) {
    double[][] mix = new double[n][n];
    double[] gain = new double[n];
    for (int i = 0; i < n; i++) {
      gain[i] = Math.exp(random.nextGaussian());
      for (int j = 0; j < n; j++) {
        mix[i][j] = random.nextGaussian() / (1 + i);
      }
    }
    double[][] h = new double[n][n];
    for (int t = 0; t < tokens; t++) {
      double[] x = new double[n];
      for (int i = 0; i < n; i++) {
        double z = random.nextGaussian();
        for (int j = 0; j < n; j++) {
          x[j] += z * mix[i][j];
        }
      }
      for (int i = 0; i < n; i++) {
        x[i] *= gain[i];
      }
      for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) {
          h[i][j] += x[i] * x[j] / tokens;
        }
      }
    }
    return h;
  }

  static void copy(double[][] from, Matrix to) {
    for (int i = 0; i < from.length; i++) {
      for (int j = 0; j < from[i].length; j++) {
        to.set(i, j, (float) from[i][j]);
      }
    }
  }

  /// Sum over rows of `(w - v)T H (w - v)`.
  static double outputError(double[] difference, double[][] h) {
    double sum = 0;
    for (int i = 0; i < difference.length; i++) {
      double row = 0;
      for (int j = 0; j < difference.length; j++) {
        row += h[i][j] * difference[j];
      }
      sum += difference[i] * row;
    }
    return sum;
  }
}
