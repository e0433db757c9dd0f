package smelt.calibrate.cuda;

import java.lang.foreign.MemorySegment;
import java.util.Optional;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.RoutingRule;
import smelt.formats.codec.Tile;

/// The twins of the reference model's operations on a GPU, one after the other in one stream, and
/// what calibration adds up. Each stays within the bound that its test derives; the same input
/// gives the same bits on the same kind of device.
///
/// Operations return before they are done; `finish` waits, and reading a matrix does. Memory of the
/// host that takes part must be native, and stay as it is until then. Used by one thread at a time.
public final class CudaMath implements AutoCloseable {

  /// Threads of a block, as in `math.cu`.
  private static final int THREADS = 256;

  private static final int BLOCKS_PER_PROCESSOR = 32;

  /// Tokens, and rows of the weight, of one block of threads: in plain products, and on tensor
  /// cores.
  private static final int PLAIN_TILE = 16;

  private static final int TENSOR_TILE = 128;

  /// Columns that tensor cores take at once.
  private static final int TENSOR_DEPTH = 32;

  /// Columns of a product on tensor cores are a multiple of this.
  private static final int TENSOR_STEP = 16;

  private static final int HESSIAN_TILE = 64;

  /// Most experts that tokens are routed to, as in `math.cu`.
  static final int MOST_EXPERTS = 1024;

  /// Rows of a Hessian that are added in F32.
  static final int HESSIAN_RUN = 256;

  private final CudaDevice device;
  private final DeviceStream stream;
  private DeviceMemory rounded;

  /// @param device stays open longer than this
  public CudaMath(CudaDevice device) {
    this.device = device;
    this.stream = device.stream();
  }

  /// A matrix whose numbers are not set.
  public DeviceMatrix matrix(long rows, long cols) {
    return new DeviceMatrix(device, rows, cols);
  }

  /// F64 zeros, for `observe` and `addHessian`, or F32 for maxima.
  public DeviceMemory zeros(long bytes) {
    DeviceMemory memory = device.allocate(bytes);
    stream.fill(memory, 0, bytes, (byte) 0);
    return memory;
  }

  /// Sends a matrix; its rows must follow each other.
  public DeviceMatrix send(Matrix matrix) {
    DeviceMatrix sent = new DeviceMatrix(device, matrix.rows(), matrix.cols());
    try {
      send(matrix, sent);
      return sent;
    } catch (RuntimeException e) {
      sent.close();
      throw e;
    }
  }

  /// Sends a matrix to where another was; its rows must follow each other.
  void send(Matrix from, DeviceMatrix to) {
    to.requireSize(from.rows(), from.cols());
    stream.upload(rows(from), to.memory(), 0);
  }

  /// Sends bytes.
  void send(MemorySegment from, DeviceMemory to, long offset) {
    stream.upload(from, to, offset);
  }

  /// The bytes of a matrix.
  private static MemorySegment rows(Matrix matrix) {
    if (matrix.stride() != matrix.cols()) {
      throw new IllegalArgumentException("a view of " + matrix.cols() + " of more columns");
    }
    return matrix.data().asSlice(matrix.offset(), Matrix.bytes(matrix.rows(), matrix.cols()));
  }

  /// Sends a weight as it is stored.
  public DeviceWeight send(Tile weight) {
    return new DeviceWeight(device, stream::upload, weight);
  }

  /// Waits, and copies a matrix to the host.
  public void read(DeviceMatrix from, Matrix to) {
    startRead(from, to);
    stream.finish();
  }

  /// Copies a matrix to the host; its rows follow each other there.
  void startRead(DeviceMatrix from, Matrix to) {
    from.requireSize(to.rows(), to.cols());
    stream.download(from.memory(), 0, rows(to));
  }

  /// Waits, and copies the beginning of some memory to the host.
  public void read(DeviceMemory from, MemorySegment to) {
    stream.download(from, 0, to);
    stream.finish();
  }

  /// Waits for all that was started.
  public void finish() {
    stream.finish();
  }

  /// Whether `multiply` uses tensor cores for a weight: its columns are a multiple of 16, and its
  /// blocks, if it has any, are as wide as several steps.
  static boolean fitsTensors(DeviceWeight weight) {
    TileForm form = weight.form();
    boolean blocks =
        form.scales() == 0
            || form.blockCols() >= weight.cols()
            || form.blockCols() % TENSOR_DEPTH == 0;
    return !form.codes().equals("f32") && weight.cols() % TENSOR_STEP == 0 && blocks;
  }

  /// `out = x * wT`. On tensor cores `x` is rounded to BF16 first, and products are summed in F32;
  /// where a weight does not fit them, this is `multiplyPlain`.
  public void multiply(DeviceMatrix x, DeviceWeight w, DeviceMatrix out) {
    if (!fitsTensors(w)) {
      multiplyPlain(x, w, out);
      return;
    }
    requireProduct(x, w, out);
    round(x);
    product(w.form().codes() + "_product", TENSOR_TILE, rounded.address(0, 1), x, w, out);
  }

  /// `out = x * wT` in F32: each number is one chain of fused multiply-adds in the order of the
  /// columns. The definition of `multiply`.
  public void multiplyPlain(DeviceMatrix x, DeviceWeight w, DeviceMatrix out) {
    requireProduct(x, w, out);
    product(w.form().codes() + "_product_plain", PLAIN_TILE, x.address(), x, w, out);
  }

  private static void requireProduct(DeviceMatrix x, DeviceWeight w, DeviceMatrix out) {
    x.requireSize(x.rows(), w.cols());
    out.requireSize(x.rows(), w.rows());
  }

  private void product(
      String kernel, int tile, long xAddress, DeviceMatrix x, DeviceWeight w, DeviceMatrix out) {
    DeviceStream.Grid grid =
        new DeviceStream.Grid(
            Math.toIntExact(Math.ceilDiv(w.rows(), (long) tile)),
            Math.toIntExact(Math.ceilDiv(x.rows(), (long) tile)));
    stream.launch(
        device.kernel(KernelImage.MATH, kernel),
        grid,
        THREADS,
        xAddress,
        w.codesAddress(),
        w.scalesAddress(),
        w.form().blockRows(),
        w.form().blockCols(),
        w.rows(),
        w.cols(),
        out.address(),
        x.rows());
  }

  private void round(DeviceMatrix x) {
    long count = x.rows() * x.cols();
    if (rounded == null || rounded.bytes() < Short.BYTES * count) {
      if (rounded != null) {
        DeviceMemory before = rounded;
        rounded = null;
        before.close();
      }
      rounded = device.allocate(Short.BYTES * count);
    }
    stream.launch(
        device.kernel(KernelImage.MATH, "round_to_bf16"),
        grid(Math.ceilDiv(count, THREADS)),
        THREADS,
        x.address(),
        rounded.address(0, Short.BYTES * count),
        count);
  }

  /// `out = x / sqrt(mean(x * x) + eps) * weight`, row by row; `out` may be `x`.
  public void rmsNorm(DeviceMatrix x, DeviceMatrix weight, double eps, DeviceMatrix out) {
    weight.requireSize(1, x.cols());
    out.requireSize(x.rows(), x.cols());
    stream.launch(
        device.kernel(KernelImage.MATH, "rms_norm"),
        grid(x.rows()),
        THREADS,
        x.address(),
        weight.address(),
        Double.doubleToRawLongBits(eps),
        out.address(),
        x.rows(),
        x.cols());
  }

  /// `x = exp(x - max(x)) / sum(exp(x - max(x)))`, row by row.
  public void softmax(DeviceMatrix x) {
    stream.launch(
        device.kernel(KernelImage.MATH, "softmax_rows"),
        grid(x.rows()),
        THREADS,
        x.address(),
        x.rows(),
        x.cols());
  }

  /// `out = gate / (1 + exp(-gate)) * up`; `out` may be `gate`.
  public void siluMultiply(DeviceMatrix gate, DeviceMatrix up, DeviceMatrix out) {
    up.requireSize(gate.rows(), gate.cols());
    out.requireSize(gate.rows(), gate.cols());
    long count = gate.rows() * gate.cols();
    stream.launch(
        device.kernel(KernelImage.MATH, "silu_multiply"),
        grid(Math.ceilDiv(count, THREADS)),
        THREADS,
        gate.address(),
        up.address(),
        out.address(),
        count);
  }

  /// The experts of each token as [RoutingRule] has them, the best first, and their weights; scores
  /// are computed in F64 and rounded.
  ///
  /// @param logits rows x experts, of up to `MOST_EXPERTS`, finite
  /// @param bias 1 x experts for rules with one; else not looked at
  /// @param experts rows x chosen, as 32-bit numbers
  /// @param weights rows x chosen
  public void route(
      DeviceMatrix logits,
      Optional<DeviceMatrix> bias,
      RoutingRule rule,
      DeviceMemory experts,
      DeviceMatrix weights) {
    if (rule.experts() > MOST_EXPERTS) {
      throw new IllegalArgumentException(rule.experts() + " experts");
    }
    logits.requireSize(logits.rows(), rule.experts());
    weights.requireSize(logits.rows(), rule.chosen());
    Routed how = Routed.of(rule);
    long biasAddress = 0;
    if (how.sigmoid()) {
      bias.orElseThrow().requireSize(1, rule.experts());
      biasAddress = bias.orElseThrow().address();
    }
    stream.launch(
        device.kernel(KernelImage.MATH, "route_tokens"),
        grid(logits.rows()),
        THREADS,
        logits.address(),
        biasAddress,
        rule.experts(),
        rule.chosen(),
        rule.groups(),
        rule.keptGroups(),
        how.sigmoid() ? 1 : 0,
        how.renormalised() ? 1 : 0,
        Double.doubleToRawLongBits(how.factor()),
        experts.address(0, Integer.BYTES * logits.rows() * rule.chosen()),
        weights.address(),
        logits.rows());
  }

  /// What the kernel is told of a rule.
  private record Routed(boolean sigmoid, boolean renormalised, double factor) {
    static Routed of(RoutingRule rule) {
      return switch (rule) {
        case RoutingRule.BiasedSigmoid r -> new Routed(true, r.renormalised(), r.factor());
        case RoutingRule.Softmax r -> new Routed(false, r.renormalised(), r.factor());
      };
    }
  }

  /// Raises the largest magnitude of each column, F32, and adds to its sum of squares, F64, row
  /// after row: the sums do not depend on how rows are grouped into calls.
  public void observe(DeviceMatrix x, DeviceMemory absmax, DeviceMemory squares) {
    stream.launch(
        device.kernel(KernelImage.MATH, "observe_columns"),
        new DeviceStream.Grid(Math.toIntExact(Math.ceilDiv(x.cols(), (long) THREADS)), 1),
        THREADS,
        x.address(),
        x.rows(),
        x.cols(),
        absmax.address(0, Float.BYTES * x.cols()),
        squares.address(0, Double.BYTES * x.cols()));
  }

  /// `hessian += xT * x`: F64, `cols` x `cols`, both halves. Up to `HESSIAN_RUN` rows are added in
  /// F32 before they are added in F64.
  public void addHessian(DeviceMatrix x, DeviceMemory hessian) {
    int tiles = Math.toIntExact(Math.ceilDiv(x.cols(), (long) HESSIAN_TILE));
    stream.launch(
        device.kernel(KernelImage.MATH, "add_hessian"),
        new DeviceStream.Grid(tiles, tiles),
        THREADS,
        x.address(),
        x.rows(),
        x.cols(),
        HESSIAN_RUN,
        hessian.address(0, Math.multiplyExact(Double.BYTES * x.cols(), x.cols())));
  }

  private DeviceStream.Grid grid(long blocks) {
    return DeviceStream.Grid.of(blocks, device.state().processors() * BLOCKS_PER_PROCESSOR);
  }

  @Override
  public void close() {
    try (stream) {
      if (rounded != null) {
        rounded.close();
      }
    }
  }
}
