package smelt.calibrate.math;

import java.lang.foreign.MemorySegment;
import java.util.function.Function;
import smelt.formats.ElementType;
import smelt.formats.codec.Kernels;
import smelt.formats.codec.Tile;
import smelt.formats.codec.TileDecoder;

/// The product of a matrix of tokens, `x`, and the transpose of a weight, `w`.
///
/// Tokens are packed once, side by side, into panels of the kernel's width and of some hundred
/// columns, for one run of columns after the other. A task is some rows of the weight; it decodes
/// rows of one run of columns and multiplies them with all panels. So a weight is decoded once for
/// every `TOKENS` tokens and is nowhere transposed; the result, which is smaller, is. How many rows
/// and columns that are is a matter of caches: see `Blocking`.
///
/// For up to `FEW` tokens nothing is packed: rows of the weight are multiplied with each token.
///
/// A number of the result is one sum in the order of the columns. It does not depend on the other
/// tokens, on rows, threads or the sizes below, except that `FEW` tokens or less are summed in
/// another order.
final class Product {

  /// Tokens that are packed at once.
  static final int TOKENS = 512;

  /// Columns that are decoded at once for few tokens.
  static final int FEW_DEPTH = 1024;

  static final int FEW = 8;

  /// Rows that are decoded at once for few tokens.
  private static final int FEW_GROUP = 8;

  /// Rows of a task for few tokens, unless that leaves threads without work.
  private static final int FEW_ROWS = 120;

  /// Rows that `multiplyPanel` takes at once.
  private static final int KERNEL_ROWS = 6;

  private static final int TASKS_PER_THREAD = 4;

  private static final long ALIGNMENT = 64;

  private final MathKernels math;
  private final Kernels codec;
  private final Workers workers;
  private final Workspace workspace;

  private final int few;
  private final RowGroups[] groups;

  /// @param few up to how many tokens nothing is packed: `FEW`, or 0 for sums in one order always
  Product(int few, MathKernels math, Kernels codec, Workers workers, Workspace workspace) {
    this.few = few;
    this.math = math;
    this.codec = codec;
    this.workers = workers;
    this.workspace = workspace;
    this.groups = new RowGroups[workers.threads()];
  }

  /// Where some rows of a weight lie as F32.
  private record Rows(MemorySegment data, long offset, long stride) {}

  /// Gives rows of a weight, one group and one run of columns at a time; for one thread. What it
  /// gave before is void.
  @FunctionalInterface
  private interface RowSource {
    Rows rows(long row, int count, long col, int depth);
  }

  /// A weight, and how a worker reads it.
  private record Weight(long rows, long cols, Function<Space, RowSource> source) {}

  /// Places in the memory of one worker, from `at` on.
  private record Space(MemorySegment memory, long at, long decoded, long sums) {}

  void multiply(Matrix x, Tile w, Matrix out) {
    if (w.encoding().type() == ElementType.F32) {
      multiply(x, new Matrix(w.codes(), w.codesOffset(), w.rows(), w.cols(), w.cols()), out);
    } else {
      multiply(x, new Weight(w.rows(), w.cols(), space -> decoding(w, space)), out);
    }
  }

  void multiply(Matrix x, Matrix w, Matrix out) {
    RowSource stored =
        (row, _, col, _) -> new Rows(w.data(), w.at(row, col), Float.BYTES * w.stride());
    boolean copied = blocking(panels(x.rows())).copiesRows();
    multiply(x, new Weight(w.rows(), w.cols(), space -> copied ? copying(w, space) : stored), out);
  }

  private static RowSource copying(Matrix w, Space space) {
    return (row, count, col, depth) -> {
      long bytes = (long) Float.BYTES * depth;
      if (bytes > MathKernels.ROW_STRIDE) {
        throw new IllegalArgumentException(depth + " columns at once");
      }
      for (int r = 0; r < count; r++) {
        long to = space.decoded + MathKernels.ROW_STRIDE * r;
        MemorySegment.copy(w.data(), w.at(row + r, col), space.memory, to, bytes);
      }
      return new Rows(space.memory, space.decoded, MathKernels.ROW_STRIDE);
    };
  }

  private RowSource decoding(Tile w, Space space) {
    TileDecoder decoder = new TileDecoder(codec, w, space.memory, space.at);
    return (row, count, col, depth) -> {
      long stride = Math.max(MathKernels.ROW_STRIDE, (long) Float.BYTES * depth);
      for (int r = 0; r < count; r++) {
        decoder.read(row + r, col, depth, space.memory, space.decoded + stride * r);
      }
      return new Rows(space.memory, space.decoded, stride);
    };
  }

  private void multiply(Matrix x, Weight w, Matrix out) {
    if (w.cols() == 0) {
      throw new IllegalArgumentException("a weight without columns");
    }
    if (x.rows() <= few) {
      few(x, w, out);
      return;
    }
    for (long first = 0; first < x.rows(); first += TOKENS) {
      long tokens = Math.min(TOKENS, x.rows() - first);
      many(x.rows(first, tokens), w, out.rows(first, tokens));
    }
  }

  /// Bytes of the workspace that a product takes.
  ///
  /// @param cols the most columns of a weight
  long scratchBytes(long tokens, long cols) {
    int panels = tokens <= few ? 0 : Math.toIntExact(panels(Math.min(tokens, TOKENS)));
    return packedBytes(panels, cols) + workers.threads() * workerBytes(panels, cols);
  }

  /// Bytes of the arrays of all workers, which lie on the heap and stay.
  long arrayBytes() {
    return math.prefersGroups()
        ? workers.threads() * RowGroups.bytes(Blocking.GROUPS, math.panelWidth())
        : 0;
  }

  private Blocking blocking(long panels) {
    return Blocking.of(math, panels);
  }

  private long panels(long tokens) {
    return Math.ceilDiv(tokens, (long) math.panelWidth());
  }

  private long packedBytes(long panels, long cols) {
    return Math.multiplyExact(panels * math.panelWidth() * Float.BYTES, cols);
  }

  private long scalesBytes(long cols) {
    return Math.ceilDiv(Float.BYTES * cols, ALIGNMENT) * ALIGNMENT;
  }

  private long workerBytes(long panels, long cols) {
    return scalesBytes(cols) + decodedBytes(panels) + panels * sumsBytes(blocking(panels));
  }

  private long decodedBytes(long panels) {
    long few = (long) Float.BYTES * FEW_GROUP * FEW_DEPTH;
    return panels == 0 ? few : Math.max(few, blocking(panels).decodedBytes());
  }

  /// Bytes of the sums of a task's rows and one panel.
  private long sumsBytes(Blocking blocking) {
    return (long) Float.BYTES * blocking.taskRows() * math.panelWidth();
  }

  private Space space(MemorySegment memory, long shared, int worker, long panels, long cols) {
    long at = shared + worker * workerBytes(panels, cols);
    long decoded = at + scalesBytes(cols);
    return new Space(memory, at, decoded, decoded + decodedBytes(panels));
  }

  /// Rows of a task: a multiple of what kernels multiply at once.
  private int taskRows(long rows, int most, int together) {
    long share = Math.ceilDiv(rows, (long) TASKS_PER_THREAD * workers.threads());
    return (int) Math.min(most, Math.ceilDiv(share, (long) together) * together);
  }

  private void few(Matrix x, Weight w, Matrix out) {
    MemorySegment memory = workspace.atLeast(workers.threads() * workerBytes(0, w.cols()));
    int taskRows = taskRows(w.rows(), FEW_ROWS, FEW_GROUP);
    int tasks = Math.toIntExact(Math.ceilDiv(w.rows(), (long) taskRows));
    workers.run(
        tasks,
        (task, worker) -> {
          Space space = space(memory, 0, worker, 0, w.cols());
          RowSource source = w.source.apply(space);
          long first = (long) task * taskRows;
          long end = Math.min(w.rows(), first + taskRows);
          for (long row = first; row < end; row += FEW_GROUP) {
            int count = (int) Math.min(FEW_GROUP, end - row);
            for (long col = 0; col < w.cols(); col += FEW_DEPTH) {
              int depth = (int) Math.min(FEW_DEPTH, w.cols() - col);
              Rows rows = source.rows(row, count, col, depth);
              for (long t = 0; t < x.rows(); t++) {
                math.multiplyRow(
                    rows.data,
                    rows.offset,
                    rows.stride,
                    count,
                    x.data(),
                    x.at(t, col),
                    depth,
                    out.data(),
                    out.at(t, row),
                    col > 0);
              }
            }
          }
        });
  }

  private void many(Matrix x, Weight w, Matrix out) {
    int panels = Math.toIntExact(panels(x.rows()));
    long shared = packedBytes(panels, w.cols());
    long own = workerBytes(panels, w.cols());
    MemorySegment memory = workspace.atLeast(shared + workers.threads() * own);
    Blocking blocking = blocking(panels);
    workers.run(panels, (panel, _) -> pack(x, panel, panels, blocking, memory));
    int together = blocking.grouped() ? MathKernels.GROUP_ROWS : KERNEL_ROWS;
    int taskRows = taskRows(w.rows(), blocking.taskRows(), together);
    int tasks = Math.toIntExact(Math.ceilDiv(w.rows(), (long) taskRows));
    workers.run(
        tasks,
        (task, worker) -> {
          Space space = space(memory, shared, worker, panels, w.cols());
          long first = (long) task * taskRows;
          int count = (int) Math.min(taskRows, w.rows() - first);
          if (blocking.grouped()) {
            groupedSums(w, first, count, x.rows(), blocking, space, worker);
          } else {
            sums(w, first, count, x.rows(), blocking, space);
          }
          unpack(space, out, first, count, blocking);
        });
  }

  /// Numbers of a panel that count; the rest are zeros.
  private int tokens(long rows, int panel) {
    return (int) Math.min(math.panelWidth(), rows - (long) panel * math.panelWidth());
  }

  /// The last panel is narrow if its tokens fit and the kernels take it.
  private int width(int tokens, Blocking blocking) {
    boolean narrow = tokens <= math.narrowWidth() && !blocking.grouped();
    return narrow ? math.narrowWidth() : math.panelWidth();
  }

  private long packedAt(long col, int depth, int panel, int panels) {
    return Float.BYTES * (col * panels + (long) panel * depth) * math.panelWidth();
  }

  private void pack(Matrix x, int panel, int panels, Blocking blocking, MemorySegment memory) {
    int tokens = tokens(x.rows(), panel);
    int width = width(tokens, blocking);
    long stride = Float.BYTES * x.stride();
    for (long col = 0; col < x.cols(); col += blocking.depth()) {
      int depth = (int) Math.min(blocking.depth(), x.cols() - col);
      long to = packedAt(col, depth, panel, panels);
      if (tokens < width) {
        memory.asSlice(to, (long) Float.BYTES * width * depth).fill((byte) 0);
      }
      long from = x.at((long) panel * math.panelWidth(), col);
      math.transpose(x.data(), from, stride, tokens, depth, memory, to, (long) Float.BYTES * width);
    }
  }

  private void sums(Weight w, long first, int count, long tokens, Blocking blocking, Space space) {
    RowSource source = w.source.apply(space);
    int panels = Math.toIntExact(panels(tokens));
    space.memory.asSlice(space.sums, panels * sumsBytes(blocking)).fill((byte) 0);
    for (long col = 0; col < w.cols(); col += blocking.depth()) {
      int depth = (int) Math.min(blocking.depth(), w.cols() - col);
      for (int row = 0; row < count; row += blocking.group()) {
        int group = Math.min(blocking.group(), count - row);
        Rows rows = source.rows(first + row, group, col, depth);
        for (int panel = 0; panel < panels; panel++) {
          int width = width(tokens(tokens, panel), blocking);
          math.multiplyPanel(
              rows.data,
              rows.offset,
              rows.stride,
              group,
              space.memory,
              packedAt(col, depth, panel, panels),
              width,
              depth,
              space.memory,
              sumsAt(space, panel, blocking) + (long) Float.BYTES * row * width);
        }
      }
    }
  }

  private void groupedSums(
      Weight w, long first, int count, long tokens, Blocking blocking, Space space, int worker) {
    if (groups[worker] == null) {
      groups[worker] = new RowGroups(blocking, math.panelWidth());
    }
    RowGroups own = groups[worker];
    RowSource source = w.source.apply(space);
    int panels = Math.toIntExact(panels(tokens));
    space.memory.asSlice(space.sums, panels * sumsBytes(blocking)).fill((byte) 0);
    int many = Math.ceilDiv(count, blocking.group());
    for (long col = 0; col < w.cols(); col += blocking.depth()) {
      int depth = (int) Math.min(blocking.depth(), w.cols() - col);
      for (int group = 0; group < many; group++) {
        int row = group * blocking.group();
        int some = Math.min(blocking.group(), count - row);
        Rows rows = source.rows(first + row, some, col, depth);
        own.put(group, rows.data, rows.offset, rows.stride, some, depth);
      }
      for (int panel = 0; panel < panels; panel++) {
        long from = packedAt(col, depth, panel, panels);
        long to = sumsAt(space, panel, blocking);
        own.multiply(math, many, space.memory, from, depth, space.memory, to);
      }
    }
  }

  private long sumsAt(Space space, int panel, Blocking blocking) {
    return space.sums + panel * sumsBytes(blocking);
  }

  /// Turns the sums of one panel after the other to the result's order where rows were decoded, and
  /// copies them from there: single numbers stored to the result, which is in no cache, would each
  /// wait for memory.
  private void unpack(Space space, Matrix out, long first, int count, Blocking blocking) {
    int panels = Math.toIntExact(panels(out.rows()));
    long stride = (long) Float.BYTES * count;
    for (int panel = 0; panel < panels; panel++) {
      int tokens = tokens(out.rows(), panel);
      long sums = sumsAt(space, panel, blocking);
      long width = (long) Float.BYTES * width(tokens, blocking);
      math.transpose(space.memory, sums, width, count, tokens, space.memory, space.decoded, stride);
      for (int token = 0; token < tokens; token++) {
        MemorySegment.copy(
            space.memory,
            space.decoded + token * stride,
            out.data(),
            out.at((long) panel * math.panelWidth() + token, first),
            stride);
      }
    }
  }
}
