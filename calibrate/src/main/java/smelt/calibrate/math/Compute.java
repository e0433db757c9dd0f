package smelt.calibrate.math;

import static smelt.calibrate.math.Matrix.F32;

import java.lang.foreign.MemorySegment;
import java.util.Objects;
import java.util.Optional;
import java.util.function.IntConsumer;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.Kernels;
import smelt.formats.codec.Tile;

/// The operations of the reference model, on a fixed number of threads. What they give does not
/// depend on that number: each number of a result is computed by one thread, in a fixed order. Nor
/// does it depend on which other rows a matrix has, except that products of up to 8 rows sum in
/// another order than larger ones.
///
/// Matrices must lie in memory that every thread may use (a shared arena) unless `threads` is 1.
/// One operation runs at a time.
public final class Compute implements AutoCloseable {

  /// Numbers of a task of the operations that go row by row.
  private static final long TASK_NUMBERS = 1 << 14;

  /// The fewest columns of a task that adds rows in order.
  private static final long STRIPE = 512;

  private final MathKernels math;
  private final Kernels codec;
  private final Workers workers;
  private final Workspace workspace;
  private final Product product;
  private final Attention attention;
  private final Rounding rounding;
  private Optional<DeviceProducts> device = Optional.empty();

  /// @param threads at least 1; the caller's is one of them
  public Compute(MathKernels math, Kernels codec, int threads) {
    this(math, codec, threads, Product.FEW);
  }

  private Compute(MathKernels math, Kernels codec, int threads, int few) {
    if (threads < 1) {
      throw new IllegalArgumentException(threads + " threads");
    }
    this.math = math;
    this.codec = codec;
    this.workers = new Workers(threads);
    this.workspace = new Workspace();
    this.product = new Product(few, math, codec, workers, workspace);
    this.attention = new Attention(math, workers, workspace);
    this.rounding = new Rounding(codec, workers, workspace);
  }

  /// The kernels that weights are decoded with.
  public Kernels codec() {
    return codec;
  }

  /// One that sums products in the same order however few rows they have, so that a row's result
  /// depends on nothing but the row. It is slower for a few rows.
  public static Compute steady(MathKernels math, Kernels codec, int threads) {
    return new Compute(math, codec, threads, 0);
  }

  public int threads() {
    return workers.threads();
  }

  /// Whether a device's products have the bits of this one's.
  public boolean matchesDevices() {
    return math.chainsProducts();
  }

  /// From now on products with weights go to a device, where it takes their encoding.
  ///
  /// @param products stays open longer than this, whose owner closes it
  public void useDevice(DeviceProducts products) {
    device = Optional.of(products);
  }

  /// Does the tasks `0` to `tasks - 1` of some other operation on these threads, each task by one.
  public void each(int tasks, IntConsumer task) {
    workers.run(tasks, (number, _) -> task.accept(number));
  }

  /// Bytes of memory that this keeps for products of up to `tokens` rows with weights of up to
  /// `cols` columns, beside `arrayBytes`.
  public long productBytes(long tokens, long cols) {
    return product.scratchBytes(tokens, cols);
  }

  /// Bytes that products keep on the heap, beside the memory that all operations share.
  public long arrayBytes() {
    return product.arrayBytes();
  }

  /// Bytes of memory that this keeps for rounding rows of up to `cols` numbers; the largest of
  /// this, `productBytes` and `attentionBytes` counts.
  public long roundingBytes(long cols) {
    return rounding.scratchBytes(cols);
  }

  /// Bytes of memory that this keeps for attention.
  public long attentionBytes(AttentionShape shape) {
    return attention.scratchBytes(shape);
  }

  /// `out = x * wT`: `x` is n x k, `w` m x k in any encoding that codecs read, `out` n x m. The
  /// weight is decoded piece by piece, or sent to a device.
  public void multiply(Matrix x, Tile w, Matrix out) {
    check(x.cols() == w.cols() && out.rows() == x.rows() && out.cols() == w.rows(), x, out);
    if (device.isPresent() && device.get().takes(w.encoding()) && x.rows() > 0) {
      device.get().multiply(x, w, out);
    } else {
      product.multiply(x, w, out);
    }
  }

  /// `out = x * wT`: `x` is n x k, `w` m x k, `out` n x m.
  public void multiply(Matrix x, Matrix w, Matrix out) {
    check(x.cols() == w.cols() && out.rows() == x.rows() && out.cols() == w.rows(), x, out);
    product.multiply(x, w, out);
  }

  /// Some columns of an operation that goes column by column.
  @FunctionalInterface
  public interface Stripe {
    /// @param first first column
    /// @param end column behind the last
    void run(long first, long end);
  }

  /// Shares columns among the threads, in runs whose size does not depend on their number. A column
  /// is one thread's.
  public void eachStripe(long cols, Stripe work) {
    int tasks = Math.toIntExact(Math.ceilDiv(cols, STRIPE));
    workers.run(tasks, (task, _) -> work.run(task * STRIPE, Math.min(cols, (task + 1) * STRIPE)));
  }

  /// `out = xT`.
  public void transpose(Matrix x, Matrix out) {
    check(x.rows() == out.cols() && x.cols() == out.rows(), x, out);
    int rows = Math.toIntExact(x.rows());
    eachStripe(
        x.cols(),
        (first, end) ->
            math.transpose(
                x.data(),
                x.at(0, first),
                Float.BYTES * x.stride(),
                rows,
                Math.toIntExact(end - first),
                out.data(),
                out.at(first, 0),
                Float.BYTES * out.stride()));
  }

  /// Some rows of an operation that goes row by row.
  @FunctionalInterface
  private interface RowRange {
    void run(long first, long end);
  }

  private void eachRow(long rows, long cols, RowRange range) {
    long perTask = Math.max(1, TASK_NUMBERS / Math.max(1, cols));
    int tasks = Math.toIntExact(Math.ceilDiv(rows, perTask));
    workers.run(
        tasks, (task, _) -> range.run(task * perTask, Math.min(rows, (task + 1) * perTask)));
  }

  /// `out = x`.
  public void copy(Matrix x, Matrix out) {
    check(x.rows() == out.rows() && x.cols() == out.cols(), x, out);
    eachRow(
        x.rows(),
        x.cols(),
        (first, end) -> {
          for (long i = first; i < end; i++) {
            MemorySegment.copy(
                x.data(), x.at(i, 0), out.data(), out.at(i, 0), Float.BYTES * x.cols());
          }
        });
  }

  /// `x = 0`.
  public void clear(Matrix x) {
    eachRow(
        x.rows(),
        x.cols(),
        (first, end) -> {
          for (long i = first; i < end; i++) {
            x.data().asSlice(x.at(i, 0), Float.BYTES * x.cols()).fill((byte) 0);
          }
        });
  }

  /// `into += x`.
  public void add(Matrix x, Matrix into) {
    check(x.rows() == into.rows() && x.cols() == into.cols(), x, into);
    eachRow(
        x.rows(),
        x.cols(),
        (first, end) -> {
          for (long i = first; i < end; i++) {
            math.addScaled(1, x.data(), x.at(i, 0), into.data(), into.at(i, 0), x.cols());
          }
        });
  }

  /// Adds one row to every row of `into`.
  public void addRow(Matrix row, Matrix into) {
    check(row.rows() == 1 && row.cols() == into.cols(), row, into);
    eachRow(
        into.rows(),
        into.cols(),
        (first, end) -> {
          for (long i = first; i < end; i++) {
            math.addScaled(1, row.data(), row.offset(), into.data(), into.at(i, 0), row.cols());
          }
        });
  }

  /// `out = x / sqrt(mean(x * x) + eps) * weight`, each row by itself; `out` may be `x`.
  ///
  /// @param weight one row
  public void rmsNorm(Matrix x, Matrix weight, double eps, Matrix out) {
    check(x.rows() == out.rows() && x.cols() == out.cols(), x, out);
    check(weight.rows() == 1 && weight.cols() == x.cols(), x, weight);
    eachRow(
        x.rows(),
        x.cols(),
        (first, end) -> {
          for (long i = first; i < end; i++) {
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
        });
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
    eachRow(
        x.rows(),
        x.cols(),
        (first, end) -> {
          for (long i = first; i < end; i++) {
            math.softmax(x.data(), x.at(i, 0), x.cols());
          }
        });
  }

  /// `out = gate / (1 + exp(-gate)) * up`; `out` may be `gate`.
  public void siluMultiply(Matrix gate, Matrix up, Matrix out) {
    check(gate.rows() == up.rows() && gate.cols() == up.cols(), gate, up);
    check(gate.rows() == out.rows() && gate.cols() == out.cols(), gate, out);
    eachRow(
        gate.rows(),
        gate.cols(),
        (first, end) -> {
          for (long i = first; i < end; i++) {
            math.siluMultiply(
                gate.data(),
                gate.at(i, 0),
                up.data(),
                up.at(i, 0),
                out.data(),
                out.at(i, 0),
                gate.cols());
          }
        });
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
    eachRow(
        x.rows(),
        x.cols(),
        (first, end) -> {
          for (long i = first; i < end; i++) {
            for (int head = 0; head < heads; head++) {
              long at = x.at(i, head * headStride);
              math.rope(
                  x.data(),
                  at,
                  cos.data(),
                  cos.at(i, 0),
                  sin.data(),
                  sin.at(i, 0),
                  cos.cols(),
                  layout);
            }
          }
        });
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
    attention.run(shape, q, k, v, out);
  }

  /// Each row of `x` as the numbers that its codes stand for.
  ///
  /// @param encoding of one row, with F32 scales; they are chosen as a codec chooses them
  /// @throws smelt.formats.codec.NonFiniteException for numbers that are NaN or infinite
  public void round(Matrix x, Encoding encoding, Matrix out) {
    check(x.rows() == out.rows() && x.cols() == out.cols(), x, out);
    rounding.throughCodes(encoding, x, out);
  }

  /// `out = e4m3(x * (1 / scale)) * scale`: half to even, saturating at 448; NaN stays.
  public void roundE4m3(Matrix x, float scale, Matrix out) {
    check(x.rows() == out.rows() && x.cols() == out.cols(), x, out);
    rounding.e4m3(scale, x, out);
  }

  /// `out = int8(x / scale) * scale`: half to even, saturating at -128 and 127; NaN stays.
  public void roundInt8(Matrix x, float scale, Matrix out) {
    check(x.rows() == out.rows() && x.cols() == out.cols(), x, out);
    rounding.int8(scale, x, out);
  }

  /// `out = (int8(round(x * (1 / scale)) + offset) - offset) * scale`: half to even, saturating at
  /// -128 and 127; NaN stays.
  public void roundInt8(Matrix x, float scale, int offset, Matrix out) {
    check(x.rows() == out.rows() && x.cols() == out.cols(), x, out);
    rounding.int8(scale, offset, x, out);
  }

  /// `out = (int8(x * factor + offset) - offset) * scale`: half to even, saturating at -128 and
  /// 127; NaN stays.
  public void roundInt8(Matrix x, float factor, int offset, float scale, Matrix out) {
    check(x.rows() == out.rows() && x.cols() == out.cols(), x, out);
    rounding.int8(factor, offset, scale, x, out);
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
    for (int row : rows) {
      Objects.checkIndex(row, into.rows());
    }
    long perTask = Math.max(STRIPE, Math.ceilDiv(x.cols(), (long) workers.threads()));
    int tasks = Math.toIntExact(Math.ceilDiv(x.cols(), perTask));
    workers.run(
        tasks,
        (task, _) -> {
          long first = task * perTask;
          long count = Math.min(perTask, x.cols() - first);
          for (int i = 0; i < rows.length; i++) {
            long from = x.at(i, first);
            long to = into.at(rows[i], first);
            math.addScaled(factors[i], x.data(), from, into.data(), to, count);
          }
        });
  }

  @Override
  public void close() {
    workers.close();
    workspace.close();
  }

  private static void check(boolean fits, Matrix a, Matrix b) {
    if (!fits) {
      throw new IllegalArgumentException(
          "sizes do not fit: " + a.rows() + " x " + a.cols() + ", " + b.rows() + " x " + b.cols());
    }
  }
}
