package smelt.calibrate.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Random;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.RoutingRule;
import smelt.formats.ElementType;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.KernelSet;
import smelt.formats.codec.Tile;
import smelt.formats.codec.Transcoder;

/// What the math kernels may be off from F64, derived from the number of roundings. Each method
/// gives the largest error as a share of its bound, so 1 is the most that is right.
///
/// With `u = 2^-24` a sum of `n` products in F32 is off by at most `n u / (1 - n u)` of the sum of
/// magnitudes. Tensor cores may cut off instead of rounding, twice that; a number rounded to BF16
/// is off by 2^-8 of itself; `expf` and a division by at most 2^-22 of the result.
final class MathBounds {

  private static final double U = 0x1p-24;
  private static final double BF16 = 0x1p-8;

  private MathBounds() {}

  static Matrix random(Arena arena, long rows, long cols, double size, Random random) {
    Matrix matrix = Matrix.zeros(arena, rows, cols);
    for (long r = 0; r < rows; r++) {
      for (long c = 0; c < cols; c++) {
        matrix.set(r, c, (float) (random.nextGaussian() * size));
      }
    }
    return matrix;
  }

  private static Matrix decoded(Arena arena, Tile w) {
    Matrix out = Matrix.zeros(arena, w.rows(), w.cols());
    Tile to = Tile.plain(ElementType.F32, out.data(), out.offset(), w.rows(), w.cols());
    Encoding f32 = to.encoding();
    MemorySegment scratch = arena.allocate(Transcoder.scratchBytes(w.encoding(), f32, w.cols()));
    Transcoder.transcode(KernelSet.choose("scalar"), w, to, scratch);
    return out;
  }

  /// @param tensors whether `x` was rounded to BF16 and summed by tensor cores
  static double product(Arena arena, Matrix x, Tile weight, Matrix out, boolean tensors) {
    Matrix w = decoded(arena, weight);
    long n = x.cols() + 2;
    double share = tensors ? BF16 + 2 * n * U : n * U / (1 - n * U);
    double worst = 0;
    for (long r = 0; r < out.rows(); r++) {
      for (long c = 0; c < out.cols(); c++) {
        double sum = 0;
        double magnitudes = 0;
        for (long k = 0; k < x.cols(); k++) {
          double product = (double) x.get(r, k) * w.get(c, k);
          sum += product;
          magnitudes += Math.abs(product);
        }
        worst = Math.max(worst, ratio(out.get(r, c) - sum, share * magnitudes));
      }
    }
    return worst;
  }

  /// The mean is in F64; its root's reciprocal and two products are rounded to F32.
  static double rmsNorm(Matrix x, Matrix weight, double eps, Matrix out) {
    double worst = 0;
    for (long r = 0; r < x.rows(); r++) {
      double squares = 0;
      for (long c = 0; c < x.cols(); c++) {
        squares += (double) x.get(r, c) * x.get(r, c);
      }
      double factor = 1 / Math.sqrt(squares / x.cols() + eps);
      for (long c = 0; c < x.cols(); c++) {
        double value = x.get(r, c) * factor * weight.get(0, c);
        worst = Math.max(worst, ratio(out.get(r, c) - value, 4 * U * Math.abs(value)));
      }
    }
    return worst;
  }

  /// The difference `d` to the largest is rounded once, which `exp` turns into `|d| u` of itself.
  /// What is below the normal floats is 0 or nearly so.
  static double softmax(Matrix x, Matrix out) {
    double worst = 0;
    for (long r = 0; r < x.rows(); r++) {
      double max = Double.NEGATIVE_INFINITY;
      double furthest = 0;
      for (long c = 0; c < x.cols(); c++) {
        max = Math.max(max, x.get(r, c));
      }
      double sum = 0;
      for (long c = 0; c < x.cols(); c++) {
        furthest = Math.max(furthest, max - x.get(r, c));
        sum += Math.exp(x.get(r, c) - max);
      }
      double share = 2 * Math.min(furthest, 104) * U + 2 * 0x1p-22 + 2 * U;
      for (long c = 0; c < x.cols(); c++) {
        double value = Math.exp(x.get(r, c) - max) / sum;
        worst = Math.max(worst, ratio(out.get(r, c) - value, share * value + 0x1p-126));
      }
    }
    return worst;
  }

  /// The experts must be those of the definition wherever its choice is clear, that is by more than
  /// a few roundings of scores of at most 1; weights are then a quotient of sums of `chosen` scores
  /// that were rounded once, so they may be off by `(2 chosen + 4) u` of themselves.
  static double routing(
      Matrix logits, Matrix bias, RoutingRule rule, int[] experts, Matrix weights) {
    double worst = 0;
    for (int row = 0; row < logits.rows(); row++) {
      RoutedByDefinition expected = RoutedByDefinition.of(logits, bias, rule, row);
      for (int rank = 0; expected.margin() > 8 * U && rank < rule.chosen(); rank++) {
        if (experts[row * rule.chosen() + rank] != expected.experts().get(rank)) {
          return Double.POSITIVE_INFINITY;
        }
        double weight = expected.weights().get(rank);
        double off = weights.get(row, rank) - weight;
        worst = Math.max(worst, ratio(off, (2 * rule.chosen() + 4) * U * weight));
      }
    }
    return worst;
  }

  /// Where `exp(-gate)` passes the largest float, which is below -88.7, the result is 0.
  static double siluMultiply(Matrix gate, Matrix up, Matrix out) {
    double worst = 0;
    for (long r = 0; r < gate.rows(); r++) {
      for (long c = 0; c < gate.cols(); c++) {
        double g = gate.get(r, c);
        double value = g / (1 + Math.exp(-g)) * up.get(r, c);
        double bound =
            (2 * 0x1p-22 + 3 * U) * Math.abs(value) + 0x1p-121 * Math.abs(up.get(r, c)) + 0x1p-126;
        worst = Math.max(worst, ratio(out.get(r, c) - value, bound));
      }
    }
    return worst;
  }

  /// F32 sums of `run` rows, which are added in F64.
  static double hessian(Matrix x, double[] before, double[] out, int run) {
    int cols = Math.toIntExact(x.cols());
    double worst = 0;
    for (int i = 0; i < cols; i++) {
      for (int j = 0; j < cols; j++) {
        double sum = before[i * cols + j];
        double magnitudes = Math.abs(sum) * 0x1p-40;
        for (long r = 0; r < x.rows(); r++) {
          double product = (double) x.get(r, i) * x.get(r, j);
          sum += product;
          magnitudes += Math.abs(product);
        }
        double share = run * U / (1 - run * U);
        worst = Math.max(worst, ratio(out[i * cols + j] - sum, share * magnitudes));
      }
    }
    return worst;
  }

  private static double ratio(double error, double bound) {
    if (Double.isNaN(error)) {
      return Double.POSITIVE_INFINITY;
    }
    return error == 0 ? 0 : Math.abs(error) / bound;
  }
}
