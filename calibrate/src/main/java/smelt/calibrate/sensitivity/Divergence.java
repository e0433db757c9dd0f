package smelt.calibrate.sensitivity;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import smelt.calibrate.math.Matrix;

/// `KL(p | q)` of each token, summed over the vocabulary tile by tile, in FP64.
///
/// With logits `a` of `p` and `b` of `q`, `A = log sum exp a` and `B = log sum exp b`:
///
///     KL(p | q) = sum exp(a - A) (a - b) - (A - B)
///
/// Sums are kept beside the largest `a` and `b` so far, and scaled down when a larger one comes.
final class Divergence {

  /// Bytes for each token.
  static final long BYTES_PER_TOKEN = 5L * Double.BYTES;

  private final double[] mostP;
  private final double[] mostQ;
  private final double[] sumP;
  private final double[] sumQ;
  private final double[] cross;

  Divergence(int tokens) {
    mostP = new double[tokens];
    mostQ = new double[tokens];
    Arrays.fill(mostP, Double.NEGATIVE_INFINITY);
    Arrays.fill(mostQ, Double.NEGATIVE_INFINITY);
    sumP = new double[tokens];
    sumQ = new double[tokens];
    cross = new double[tokens];
  }

  /// Adds a tile of the vocabulary for tokens `from` to before `to`: one row of each matrix for
  /// each. Different tokens by any number of threads.
  void add(Matrix p, Matrix q, int from, int to) {
    int cols = Math.toIntExact(p.cols());
    float[] a = new float[cols];
    float[] b = new float[cols];
    for (int token = from; token < to; token++) {
      MemorySegment.copy(p.data(), Matrix.F32, p.at(token, 0), a, 0, cols);
      MemorySegment.copy(q.data(), Matrix.F32, q.at(token, 0), b, 0, cols);
      add(token, a, b);
    }
  }

  private void add(int token, float[] a, float[] b) {
    double before = mostP[token];
    double most = before;
    double otherBefore = mostQ[token];
    double otherMost = otherBefore;
    for (int i = 0; i < a.length; i++) {
      most = Math.max(most, a[i]);
      otherMost = Math.max(otherMost, b[i]);
    }
    double shrink = Math.exp(before - most);
    double sum = sumP[token] * shrink;
    double product = cross[token] * shrink;
    double otherSum = sumQ[token] * Math.exp(otherBefore - otherMost);
    for (int i = 0; i < a.length; i++) {
      double e = Math.exp(a[i] - most);
      sum += e;
      product += e * ((double) a[i] - b[i]);
      otherSum += Math.exp(b[i] - otherMost);
    }
    mostP[token] = most;
    mostQ[token] = otherMost;
    sumP[token] = sum;
    cross[token] = product;
    sumQ[token] = otherSum;
  }

  /// Mean over the tokens; infinite where logits are not finite.
  double mean() {
    double all = 0;
    for (int token = 0; token < sumP.length; token++) {
      double p = mostP[token] + Math.log(sumP[token]);
      double q = mostQ[token] + Math.log(sumQ[token]);
      double kl = cross[token] / sumP[token] - (p - q);
      all += Double.isFinite(kl) ? Math.max(0, kl) : Double.POSITIVE_INFINITY;
    }
    return all / sumP.length;
  }
}
