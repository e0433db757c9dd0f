package smelt.calibrate.math;

import static smelt.calibrate.math.Matrix.F32;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import smelt.formats.ElementType;
import smelt.formats.codec.Kernels;
import smelt.formats.codec.Tile;
import smelt.formats.codec.TileDecoder;

/// The operations of the reference model, on a fixed number of threads. What they give does not
/// depend on that number: each number of a result is computed by one thread, in a fixed order.
///
/// Matrices must lie in memory that every thread may use (a shared arena) unless `threads` is 1.
/// One operation runs at a time.
public final class Compute implements AutoCloseable {

  private final MathKernels math;
  private final Kernels codec;
  private final int threads;

  /// @param threads at least 1; the caller's is one of them
  public Compute(MathKernels math, Kernels codec, int threads) {
    if (threads < 1) {
      throw new IllegalArgumentException(threads + " threads");
    }
    this.math = math;
    this.codec = codec;
    this.threads = threads;
  }

  /// One that sums products in the same order however few rows they have, so that a row's result
  /// depends on nothing but the row.
  public static Compute steady(MathKernels math, Kernels codec, int threads) {
    return new Compute(math, codec, threads);
  }

  public int threads() {
    return threads;
  }

  /// The kernels that weights are decoded with.
  public Kernels codec() {
    return codec;
  }

  /// `out = x * wT`: `x` is n x k, `w` m x k in any encoding that codecs read, `out` n x m.
  public void multiply(Matrix x, Tile w, Matrix out) {
    check(x.cols() == w.cols() && out.rows() == x.rows() && out.cols() == w.rows(), x, out);
    long rowBytes = Float.BYTES * w.cols();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment scratch =
          arena.allocate(rowBytes + TileDecoder.scratchBytes(w.encoding(), w.cols()), 64);
      TileDecoder decoder = new TileDecoder(codec, w, scratch, rowBytes);
      for (long m = 0; m < w.rows(); m++) {
        decoder.read(m, 0, w.cols(), scratch, 0);
        for (long n = 0; n < x.rows(); n++) {
          out.set(n, m, math.dot(x.data(), x.at(n, 0), scratch, 0, w.cols()));
        }
      }
    }
  }

  /// `out = x * wT`: `x` is n x k, `w` m x k, `out` n x m.
  public void multiply(Matrix x, Matrix w, Matrix out) {
    check(x.cols() == w.cols() && out.rows() == x.rows() && out.cols() == w.rows(), x, out);
    for (long m = 0; m < w.rows(); m++) {
      Tile row = Tile.plain(ElementType.F32, w.data(), w.at(m, 0), 1, w.cols());
      multiply(x, row, out.columns(m, 1));
    }
  }

  /// `into += x`.
  public void add(Matrix x, Matrix into) {
    check(x.rows() == into.rows() && x.cols() == into.cols(), x, into);
    for (long i = 0; i < x.rows(); i++) {
      math.addScaled(1, x.data(), x.at(i, 0), into.data(), into.at(i, 0), x.cols());
    }
  }

  /// Adds one row to every row of `into`.
  public void addRow(Matrix row, Matrix into) {
    check(row.rows() == 1 && row.cols() == into.cols(), row, into);
    for (long i = 0; i < into.rows(); i++) {
      math.addScaled(1, row.data(), row.offset(), into.data(), into.at(i, 0), row.cols());
    }
  }

  /// `out = x / sqrt(mean(x * x) + eps) * weight`, each row by itself; `out` may be `x`.
  ///
  /// @param weight one row
  public void rmsNorm(Matrix x, Matrix weight, double eps, Matrix out) {
    check(x.rows() == out.rows() && x.cols() == out.cols(), x, out);
    check(weight.rows() == 1 && weight.cols() == x.cols(), x, weight);
    for (long i = 0; i < x.rows(); i++) {
      math.rmsNorm(
          x.data(),
          x.at(i, 0),
          weight.data(),
          weight.offset(),
          eps,
          out.data(),
          out.at(i, 0),
          x.cols());
    }
  }

  /// Norms every head of every row by itself, in place: a row is `heads` runs of `weight.cols()`.
  public void rmsNormHeads(Matrix x, int heads, Matrix weight, double eps) {
    check(x.cols() == heads * weight.cols(), x, weight);
    for (int head = 0; head < heads; head++) {
      Matrix part = x.columns(head * weight.cols(), weight.cols());
      rmsNorm(part, weight, eps, part);
    }
  }

  /// The softmax of each row, in place.
  public void softmax(Matrix x) {
    for (long i = 0; i < x.rows(); i++) {
      math.softmax(x.data(), x.at(i, 0), x.cols());
    }
  }

  /// `out = gate / (1 + exp(-gate)) * up`; `out` may be `gate`.
  public void siluMultiply(Matrix gate, Matrix up, Matrix out) {
    check(gate.rows() == up.rows() && gate.cols() == up.cols(), gate, up);
    check(gate.rows() == out.rows() && gate.cols() == out.cols(), gate, out);
    for (long i = 0; i < gate.rows(); i++) {
      math.siluMultiply(
          gate.data(),
          gate.at(i, 0),
          up.data(),
          up.at(i, 0),
          out.data(),
          out.at(i, 0),
          gate.cols());
    }
  }

  /// Rotates, in place, the first `2 * cos.cols()` numbers of every head of every row.
  ///
  /// @param headStride columns from one head to the next; the first begins at column 0
  /// @param cos for each row of `x` the cosine of each pair's angle
  /// @param sin as `cos`
  public void rope(
      Matrix x, int heads, long headStride, Matrix cos, Matrix sin, RopeLayout layout) {
    check(cos.rows() == x.rows() && sin.rows() == x.rows() && sin.cols() == cos.cols(), cos, sin);
    check((heads - 1) * headStride + 2 * cos.cols() <= x.cols(), x, cos);
    for (long i = 0; i < x.rows(); i++) {
      for (int head = 0; head < heads; head++) {
        long at = x.at(i, head * headStride);
        math.rope(
            x.data(), at, cos.data(), cos.at(i, 0), sin.data(), sin.at(i, 0), cos.cols(), layout);
      }
    }
  }

  /// Causal attention of one sequence: query `i` of `n` sees keys 0 to `m - n + i` of `m`.
  ///
  /// @param q n x heads * qkDim
  /// @param k m x kvHeads * qkDim, m at least n
  /// @param v m x kvHeads * vDim
  /// @param out n x heads * vDim
  public void attention(AttentionShape shape, Matrix q, Matrix k, Matrix v, Matrix out) {
    check(q.cols() == (long) shape.heads() * shape.qkDim() && out.rows() == q.rows(), q, out);
    check(k.cols() == (long) shape.kvHeads() * shape.qkDim() && k.rows() >= q.rows(), q, k);
    check(v.cols() == (long) shape.kvHeads() * shape.vDim() && v.rows() == k.rows(), k, v);
    check(out.cols() == (long) shape.heads() * shape.vDim(), q, out);
    try (Arena arena = Arena.ofConfined()) {
      Matrix scores = Matrix.zeros(arena, 1, k.rows());
      for (int head = 0; head < shape.heads(); head++) {
        int kvHead = head / (shape.heads() / shape.kvHeads());
        Matrix keys = k.columns((long) kvHead * shape.qkDim(), shape.qkDim());
        Matrix values = v.columns((long) kvHead * shape.vDim(), shape.vDim());
        for (long i = 0; i < q.rows(); i++) {
          long seen = k.rows() - q.rows() + i + 1;
          long query = q.at(i, (long) head * shape.qkDim());
          for (long j = 0; j < seen; j++) {
            float dot = math.dot(q.data(), query, k.data(), keys.at(j, 0), shape.qkDim());
            scores.set(0, j, dot * shape.scale());
          }
          math.softmax(scores.data(), scores.offset(), seen);
          Matrix result = out.rows(i, 1).columns((long) head * shape.vDim(), shape.vDim());
          weighted(scores, values, seen, result);
        }
      }
    }
  }

  private void weighted(Matrix weights, Matrix rows, long count, Matrix out) {
    long to = out.at(0, 0);
    out.data().asSlice(to, Float.BYTES * out.cols()).fill((byte) 0);
    for (long j = 0; j < count; j++) {
      math.addScaled(weights.get(0, j), rows.data(), rows.at(j, 0), out.data(), to, out.cols());
    }
  }

  /// `out[i] = x[rows[i]]`.
  public void gatherRows(Matrix x, int[] rows, Matrix out) {
    check(out.rows() == rows.length && out.cols() == x.cols(), x, out);
    for (int i = 0; i < rows.length; i++) {
      Matrix row = x.rows(rows[i], 1);
      MemorySegment.copy(row.data(), F32, row.offset(), out.data(), F32, out.at(i, 0), row.cols());
    }
  }

  /// `into[rows[i]] += factors[i] * x[i]`, in the order of `i`.
  public void scatterAdd(Matrix x, int[] rows, float[] factors, Matrix into) {
    check(x.rows() == rows.length && factors.length == rows.length, x, into);
    check(x.cols() == into.cols(), x, into);
    for (int i = 0; i < rows.length; i++) {
      long to = into.rows(rows[i], 1).offset();
      math.addScaled(factors[i], x.data(), x.at(i, 0), into.data(), to, x.cols());
    }
  }

  @Override
  public void close() {}

  private static void check(boolean fits, Matrix a, Matrix b) {
    if (!fits) {
      throw new IllegalArgumentException(
          "sizes do not fit: " + a.rows() + " x " + a.cols() + ", " + b.rows() + " x " + b.cols());
    }
  }
}
