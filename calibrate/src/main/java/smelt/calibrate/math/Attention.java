package smelt.calibrate.math;

import java.lang.foreign.MemorySegment;

/// Causal attention of one sequence with an online softmax: of the scores only a block of keys by a
/// panel of queries exists at a time.
///
/// A task is one head and up to `PANELS` panels of queries. Queries lie side by side in a panel, so
/// rows of keys are multiplied with it as rows of a weight are; so are the columns of the values
/// with the panel of weights that the softmax makes of the scores. Blocks of keys begin at
/// multiples of `KEYS`, so what a query gets does not depend on which others are asked with it.
final class Attention {

  /// Keys of a block.
  static final int KEYS = 64;

  /// Panels for which a block of values is transposed once.
  private static final int PANELS = 4;

  private final MathKernels math;
  private final Workers workers;
  private final Workspace workspace;

  Attention(MathKernels math, Workers workers, Workspace workspace) {
    this.math = math;
    this.workers = workers;
    this.workspace = workspace;
  }

  /// Queries, keys and values of one head; query 0 sees keys `0 .. before`.
  private record Head(
      AttentionShape shape, Matrix q, Matrix k, Matrix v, Matrix out, long before) {}

  /// Byte offsets in the memory of one worker: packed queries, scores, transposed values, results
  /// and the state of the softmax. Of queries, results and states there are `PANELS`.
  private record Space(
      MemorySegment memory, long queries, long scores, long values, long results, long states) {}

  void run(AttentionShape shape, Matrix q, Matrix k, Matrix v, Matrix out) {
    MemorySegment memory = workspace.atLeast(scratchBytes(shape));
    long perTask = (long) PANELS * math.panelWidth();
    int blocks = Math.toIntExact(Math.ceilDiv(q.rows(), perTask));
    workers.run(
        Math.multiplyExact(shape.heads(), blocks),
        (task, worker) -> {
          int head = task / blocks;
          int kvHead = head / (shape.heads() / shape.kvHeads());
          long first = task % blocks * perTask;
          long count = Math.min(perTask, q.rows() - first);
          Head part =
              new Head(
                  shape,
                  q.rows(first, count).columns((long) head * shape.qkDim(), shape.qkDim()),
                  k.columns((long) kvHead * shape.qkDim(), shape.qkDim()),
                  v.columns((long) kvHead * shape.vDim(), shape.vDim()),
                  out.rows(first, count).columns((long) head * shape.vDim(), shape.vDim()),
                  k.rows() - q.rows() + first);
          queries(part, space(shape, memory, worker));
        });
  }

  long scratchBytes(AttentionShape shape) {
    return workers.threads() * workerBytes(shape);
  }

  private long workerBytes(AttentionShape shape) {
    return space(shape, MemorySegment.NULL, 0).states + PANELS * stateBytes();
  }

  private long stateBytes() {
    return rowBytes(math.panelWidth(), 2);
  }

  private static long rowBytes(int width, long rows) {
    return Float.BYTES * rows * width;
  }

  private Space space(AttentionShape shape, MemorySegment memory, int worker) {
    int width = math.panelWidth();
    long queries = worker == 0 ? 0 : worker * workerBytes(shape);
    long scores = queries + PANELS * rowBytes(width, shape.qkDim());
    long values = scores + rowBytes(width, KEYS);
    long results = values + rowBytes(KEYS, shape.vDim());
    long states = results + PANELS * rowBytes(width, shape.vDim());
    return new Space(memory, queries, scores, values, results, states);
  }

  private int tokens(Head head, int panel) {
    return (int) Math.min(math.panelWidth(), head.q.rows() - (long) panel * math.panelWidth());
  }

  private int width(Head head, int panel) {
    return tokens(head, panel) <= math.narrowWidth() ? math.narrowWidth() : math.panelWidth();
  }

  private void queries(Head head, Space space) {
    int panels = Math.ceilDiv(Math.toIntExact(head.q.rows()), math.panelWidth());
    for (int panel = 0; panel < panels; panel++) {
      begin(head, panel, space);
    }
    long visible = head.before + head.q.rows();
    long stride = Float.BYTES * head.v.stride();
    for (long key = 0; key < visible; key += KEYS) {
      int keys = (int) Math.min(KEYS, visible - key);
      int vDim = head.shape.vDim();
      long to = Float.BYTES * KEYS;
      math.transpose(
          head.v.data(), head.v.at(key, 0), stride, keys, vDim, space.memory, space.values, to);
      for (int panel = 0; panel < panels; panel++) {
        step(head, panel, key, keys, space);
      }
    }
    for (int panel = 0; panel < panels; panel++) {
      finish(head, panel, space);
    }
  }

  private long queriesAt(Head head, int panel, Space space) {
    return space.queries + panel * rowBytes(math.panelWidth(), head.shape.qkDim());
  }

  private long resultsAt(Head head, int panel, Space space) {
    return space.results + panel * rowBytes(math.panelWidth(), head.shape.vDim());
  }

  private long stateAt(int panel, Space space) {
    return space.states + panel * stateBytes();
  }

  private void begin(Head head, int panel, Space space) {
    int width = width(head, panel);
    int qkDim = head.shape.qkDim();
    long queries = queriesAt(head, panel, space);
    space.memory.asSlice(queries, rowBytes(width, qkDim)).fill((byte) 0);
    Matrix q = head.q;
    math.transpose(
        q.data(),
        q.at((long) panel * math.panelWidth(), 0),
        Float.BYTES * q.stride(),
        tokens(head, panel),
        qkDim,
        space.memory,
        queries,
        rowBytes(width, 1));
    long results = resultsAt(head, panel, space);
    space.memory.asSlice(results, rowBytes(width, head.shape.vDim())).fill((byte) 0);
    for (int t = 0; t < width; t++) {
      long state = stateAt(panel, space) + (long) Float.BYTES * t;
      space.memory.set(Matrix.F32, state, Float.NEGATIVE_INFINITY);
      space.memory.set(Matrix.F32, state + rowBytes(width, 1), 0f);
    }
  }

  private void step(Head head, int panel, long key, int keys, Space space) {
    int width = width(head, panel);
    long seen = head.before + (long) panel * math.panelWidth() - key;
    int used = (int) Math.min(keys, seen + tokens(head, panel));
    if (used <= 0) {
      return;
    }
    MemorySegment memory = space.memory;
    memory.asSlice(space.scores, rowBytes(width, used)).fill((byte) 0);
    Matrix k = head.k;
    math.multiplyPanel(
        k.data(),
        k.at(key, 0),
        Float.BYTES * k.stride(),
        used,
        memory,
        queriesAt(head, panel, space),
        width,
        head.shape.qkDim(),
        memory,
        space.scores);
    long results = resultsAt(head, panel, space);
    math.softmaxStep(
        memory,
        space.scores,
        used,
        width,
        head.shape.scale(),
        (int) Math.min(seen, KEYS),
        memory,
        stateAt(panel, space),
        memory,
        results,
        head.shape.vDim());
    math.multiplyPanel(
        memory,
        space.values,
        Float.BYTES * KEYS,
        head.shape.vDim(),
        memory,
        space.scores,
        width,
        used,
        memory,
        results);
  }

  private void finish(Head head, int panel, Space space) {
    int width = width(head, panel);
    int vDim = head.shape.vDim();
    long results = resultsAt(head, panel, space);
    long sums = stateAt(panel, space) + rowBytes(width, 1);
    math.divideColumns(space.memory, results, vDim, width, space.memory, sums);
    Matrix out = head.out;
    math.transpose(
        space.memory,
        results,
        rowBytes(width, 1),
        vDim,
        tokens(head, panel),
        out.data(),
        out.at((long) panel * math.panelWidth(), 0),
        Float.BYTES * out.stride());
  }
}
