package smelt.verify.inference;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.OptionalInt;
import smelt.calibrate.math.Matrix;

/// What is summed over the vocabulary, tile by tile of its rows, so that no logits are ever kept:
/// the softmax of the source (`p`), of the result routing by itself (`q`) and of the result with
/// the source's experts (`f`), and the two divergences from `p`. All in FP64.
///
/// With logits `a` of `p` and `b` of `q`, `A = log sum exp a` and `B = log sum exp b`:
///
///     KL(p | q) = sum p (log p - log q) = sum exp(a - A) (a - b) - (A - B)
///
/// The first sum is kept beside `sum exp(a - max)`, both scaled down whenever a larger maximum
/// comes. Where both have the same logits, every `a - b` is 0 and `A` and `B` come from the same
/// operations, so the divergence is exactly 0.
///
/// **Rounding.** Let `u = 2^-53`, `n` logits in a run, `k` runs. The computed exponentials are
/// those of logits changed by at most `(2 + |a - max|) u`, and they appear in both sums alike; for
/// the changed logits the divergence is not negative. What else is rounded are sums of `n` and then
/// `k` numbers, and a few operations on `A` and `B`. So a computed divergence lies above
/// `-(n + k + 16) u (1 + max |a - b| + |A| + |B|)`. Results between that and 0 are set to 0; one
/// below would be an error in the program, and is thrown.
///
/// Each token's numbers change by one thread at a time; different tokens by any number of threads.
final class VocabularySums {

  /// Logits that are summed by themselves before they are added to the sums. As long as tiles have
  /// a multiple of so many rows, their size does not change a bit.
  static final int RUN = 128;

  private static final double UNIT = 0x1p-53;

  private final int[] targets;
  private final OptionalInt eos;
  private final Path p;
  private final Path q;
  private final Path f;
  private final double[] crossQ;
  private final double[] crossF;
  private final double[] farthest;
  private final long[] runs;

  /// Softmax of one path for each token.
  private static final class Path {
    final double[] max;
    final double[] sum;
    final int[] top;
    final double[] target;
    final double[] eos;

    Path(int tokens) {
      max = new double[tokens];
      Arrays.fill(max, Double.NEGATIVE_INFINITY);
      sum = new double[tokens];
      top = new int[tokens];
      target = new double[tokens];
      eos = new double[tokens];
    }

    /// Takes the maximum of a tile in, and gives the factor by which sums so far shrink.
    double raise(int token, float[] logits, int count, long firstId) {
      double before = max[token];
      double now = before;
      for (int i = 0; i < count; i++) {
        if (!(logits[i] <= now)) {
          now = logits[i];
          top[token] = Math.toIntExact(firstId + i);
        }
      }
      if (now == before) {
        return 1;
      }
      max[token] = now;
      double factor = Math.exp(before - now);
      sum[token] *= factor;
      return factor;
    }

    double logSum(int token) {
      return max[token] + Math.log(sum[token]);
    }
  }

  /// @param targets the token that follows each scored token
  /// @param eos the token that ends a text
  VocabularySums(int[] targets, OptionalInt eos) {
    this.targets = targets;
    this.eos = eos;
    p = new Path(targets.length);
    q = new Path(targets.length);
    f = new Path(targets.length);
    crossQ = new double[targets.length];
    crossF = new double[targets.length];
    farthest = new double[targets.length];
    runs = new long[targets.length];
  }

  /// Bytes that the sums of a token take.
  static final long BYTES_PER_TOKEN = 3 * (4 * Double.BYTES + Integer.BYTES) + 4 * Double.BYTES;

  /// Numbers of one thread.
  static final class Scratch {
    final float[] p = new float[RUN];
    final float[] q = new float[RUN];
    final float[] f = new float[RUN];
  }

  /// Adds a tile of the vocabulary for one token.
  ///
  /// @param firstId the vocabulary's row that the tile's first column is for
  /// @param rowP the row of `tileP` that holds the token's logits; `rowQ` and `rowF` of `tileQ`
  void add(
      int token,
      long firstId,
      Matrix tileP,
      long rowP,
      Matrix tileQ,
      long rowQ,
      long rowF,
      Scratch scratch) {
    for (long col = 0; col < tileP.cols(); col += RUN) {
      int count = (int) Math.min(RUN, tileP.cols() - col);
      copy(tileP, rowP, col, scratch.p, count);
      copy(tileQ, rowQ, col, scratch.q, count);
      copy(tileQ, rowF, col, scratch.f, count);
      addRun(token, firstId + col, scratch, count);
    }
  }

  private static void copy(Matrix from, long row, long col, float[] to, int count) {
    MemorySegment.copy(from.data(), Matrix.F32, from.at(row, col), to, 0, count);
  }

  private void addRun(int token, long firstId, Scratch scratch, int count) {
    addSource(token, firstId, scratch, count);
    addPath(q, token, firstId, scratch.q, count);
    addPath(f, token, firstId, scratch.f, count);
    remember(p, token, firstId, scratch.p, count);
    remember(q, token, firstId, scratch.q, count);
    runs[token]++;
  }

  private void addSource(int token, long firstId, Scratch scratch, int count) {
    double shrink = p.raise(token, scratch.p, count, firstId);
    double max = p.max[token];
    double sum = 0;
    double sumQ = 0;
    double sumF = 0;
    double far = farthest[token];
    for (int i = 0; i < count; i++) {
      double a = scratch.p[i];
      double e = Math.exp(a - max);
      double d = a - scratch.q[i];
      double g = a - scratch.f[i];
      sum += e;
      sumQ += e * d;
      sumF += e * g;
      far = Math.max(far, Math.max(Math.abs(d), Math.abs(g)));
    }
    p.sum[token] += sum;
    crossQ[token] = crossQ[token] * shrink + sumQ;
    crossF[token] = crossF[token] * shrink + sumF;
    farthest[token] = far;
  }

  private static void addPath(Path path, int token, long firstId, float[] logits, int count) {
    path.raise(token, logits, count, firstId);
    double max = path.max[token];
    double sum = 0;
    for (int i = 0; i < count; i++) {
      sum += Math.exp(logits[i] - max);
    }
    path.sum[token] += sum;
  }

  private void remember(Path path, int token, long firstId, float[] logits, int count) {
    long target = targets[token] - firstId;
    if (target >= 0 && target < count) {
      path.target[token] = logits[(int) target];
    }
    if (eos.isPresent()) {
      long end = eos.getAsInt() - firstId;
      if (end >= 0 && end < count) {
        path.eos[token] = logits[(int) end];
      }
    }
  }

  /// Whether the source's softmax is finite.
  boolean sourceIsFinite(int token) {
    return Double.isFinite(p.logSum(token));
  }

  /// `KL(p | q)`; infinite where the result's logits are not finite.
  double kl(int token) {
    return divergence(token, crossQ[token], q);
  }

  /// `KL(p | f)`.
  double forcedKl(int token) {
    return divergence(token, crossF[token], f);
  }

  private double divergence(int token, double cross, Path other) {
    double logP = p.logSum(token);
    double logOther = other.logSum(token);
    double kl = cross / p.sum[token] - (logP - logOther);
    if (!Double.isFinite(kl)) {
      return Double.POSITIVE_INFINITY;
    }
    double size = 1 + farthest[token] + Math.abs(logP) + Math.abs(logOther);
    if (kl < -(RUN + runs[token] + 16) * UNIT * size) {
      throw new IllegalStateException("a divergence of " + kl + " is no rounding");
    }
    return Math.max(0, kl);
  }

  /// Log-probability of the target on the source's path.
  double logP(int token) {
    return p.target[token] - p.logSum(token);
  }

  /// Log-probability of the target on the result's path; negative infinity where its logits are not
  /// finite.
  double logQ(int token) {
    double log = q.target[token] - q.logSum(token);
    return Double.isNaN(log) ? Double.NEGATIVE_INFINITY : log;
  }

  /// `log q(EOS) - log p(EOS)`; 0 without an EOS token.
  double eosShift(int token) {
    if (eos.isEmpty()) {
      return 0;
    }
    double shift = q.eos[token] - q.logSum(token) - (p.eos[token] - p.logSum(token));
    return Double.isNaN(shift) ? Double.NEGATIVE_INFINITY : shift;
  }

  boolean sameTop(int token) {
    return sameTop(token, q);
  }

  boolean sameTopForced(int token) {
    return sameTop(token, f);
  }

  private boolean sameTop(int token, Path other) {
    return Double.isFinite(other.logSum(token)) && p.top[token] == other.top[token];
  }
}
