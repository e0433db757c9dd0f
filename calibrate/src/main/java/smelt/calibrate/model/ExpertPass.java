package smelt.calibrate.model;

import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.ModelWeights.Gated;
import smelt.formats.checkpoint.Weight;

/// A feed-forward half with experts, for some tokens of a batch: the router decides for all of
/// them, then each expert that anyone chose is read once and given its tokens. Experts that nobody
/// chose are not read.
final class ExpertPass {

  private final int layer;
  private final FeedForward.Experts experts;
  private final Parts parts;
  private final LayerOptions options;
  private final Matrix norm;
  private final Router router;

  ExpertPass(int layer, FeedForward.Experts experts, Parts parts, LayerOptions options, Matrix norm)
      throws IOException {
    this.layer = layer;
    this.experts = experts;
    this.parts = parts;
    this.options = options;
    this.norm = norm;
    router = new Router(experts.rule(), bias());
  }

  /// Bytes of scratch for each token, without what rounding takes.
  static long floatsPerToken(FeedForward.Experts experts, int hidden) {
    long width = Math.max(experts.width(), experts.sharedWidth());
    return 2L * hidden + 2 * width + experts.rule().experts();
  }

  /// The same for all tokens of a batch, with every weight read once: a part's weights are held
  /// while tokens go through it, some at a time. What comes out is what `add` gives, if sums do not
  /// depend on the number of tokens at once.
  ///
  /// @param x hidden states of all tokens
  /// @param sum memory of the same size
  /// @param atOnce tokens that go through a part at once; there is scratch for them
  void addOnce(Matrix x, Matrix sum, Held held, long atOnce, Routing routing) throws IOException {
    List<Weight> common =
        Stream.concat(
                Stream.of(parts.weights().router(layer)),
                parts.weights().shared(layer, experts).stream())
            .toList();
    held.with(
        common,
        () ->
            eachPiece(
                x.rows(),
                atOnce,
                (first, count) -> {
                  Matrix input = parts.scratch().matrix(count, x.cols());
                  normed(x.rows(first, count), input);
                  chooseAndShare(input, first, routing, sum.rows(first, count));
                }));
    done(parts.weights().shared(layer, experts));
    Assignment assignment = Assignment.of(routing, 0, x.rows(), experts.rule().experts());
    for (int expert = 0; expert < experts.rule().experts(); expert++) {
      int[] rows = assignment.rows(expert);
      int[] further = options.observer().further(layer, expert);
      if (rows.length + further.length > 0) {
        Gated unit = parts.weights().expert(layer, expert);
        float[] factors = assignment.factors(expert);
        held.with(
            unit.all(),
            () -> {
              run(unit, x, rows, factors, sum, atOnce);
              lookAt(unit, x, further, atOnce);
            });
        done(unit.all());
      }
    }
    parts.compute().add(sum, x);
  }

  /// Keeps weights in memory while something is done.
  interface Held {
    void with(List<Weight> weights, Work work) throws IOException;
  }

  /// What is done meanwhile.
  @FunctionalInterface
  interface Work {
    void run() throws IOException;
  }

  /// What is done with some tokens; it takes scratch memory and leaves it taken.
  @FunctionalInterface
  private interface Piece {
    void run(long first, long count) throws IOException;
  }

  private void eachPiece(long all, long atOnce, Piece piece) throws IOException {
    for (long first = 0; first < all; first += atOnce) {
      long mark = parts.scratch().mark();
      piece.run(first, Math.min(atOnce, all - first));
      parts.scratch().release(mark);
    }
  }

  private void run(Gated unit, Matrix x, int[] rows, float[] factors, Matrix sum, long atOnce)
      throws IOException {
    eachPiece(
        rows.length,
        atOnce,
        (first, count) -> {
          int from = Math.toIntExact(first);
          int end = Math.toIntExact(first + count);
          int[] some = Arrays.copyOfRange(rows, from, end);
          Matrix own = gathered(x, some);
          gated(unit, experts.width(), own);
          parts.compute().scatterAdd(own, some, Arrays.copyOfRange(factors, from, end), sum);
        });
  }

  /// Runs an expert up to the input of its `down`, for the observer.
  private void lookAt(Gated unit, Matrix x, int[] rows, long atOnce) throws IOException {
    eachPiece(
        rows.length,
        atOnce,
        (first, count) -> {
          int from = Math.toIntExact(first);
          Matrix own = gathered(x, Arrays.copyOfRange(rows, from, from + Math.toIntExact(count)));
          Matrix gate = parts.scratch().matrix(count, experts.width());
          Matrix up = parts.scratch().matrix(count, experts.width());
          parts
              .linears()
              .multiply(
                  List.of(unit.gate(), unit.up()), own, List.of(gate, up), options.unobserved());
          parts.compute().siluMultiply(gate, up, gate);
          options.observer().further(unit.down(), gate);
        });
  }

  private Matrix gathered(Matrix x, int[] rows) {
    Matrix own = parts.scratch().matrix(rows.length, x.cols());
    parts.compute().gatherRows(x, rows, own);
    normed(own, own);
    return own;
  }

  private void normed(Matrix x, Matrix out) {
    parts.compute().rmsNorm(x, norm, parts.spec().eps(), out);
  }

  private void chooseAndShare(Matrix input, long first, Routing routing, Matrix sum)
      throws IOException {
    route(input, first, routing);
    options.observer().routed(layer, input, first, routing);
    shared(input, sum);
  }

  private float[] bias() throws IOException {
    return switch (experts.rule()) {
      case RoutingRule.BiasedSigmoid _ -> {
        long mark = parts.scratch().mark();
        Matrix bias = parts.linears().vector(parts.weights().routerBias(layer));
        float[] numbers = row(bias, 0);
        parts.scratch().release(mark);
        yield numbers;
      }
      case RoutingRule.Softmax _ -> new float[0];
    };
  }

  /// Adds the experts' output to the hidden states `x` of tokens `first` to `first + x.rows()`, and
  /// writes down their choice.
  void add(Matrix x, long first, Routing routing) throws IOException {
    Compute compute = parts.compute();
    Scratch scratch = parts.scratch();
    long mark = scratch.mark();
    Matrix sum = scratch.matrix(x.rows(), x.cols());
    Matrix input = scratch.matrix(x.rows(), x.cols());
    compute.rmsNorm(x, norm, parts.spec().eps(), input);
    chooseAndShare(input, first, routing, sum);
    done(parts.weights().shared(layer, experts));
    Assignment assignment = Assignment.of(routing, first, x.rows(), experts.rule().experts());
    for (int expert = 0; expert < experts.rule().experts(); expert++) {
      int[] rows = assignment.rows(expert);
      if (rows.length > 0) {
        Matrix own = input.rows(0, rows.length);
        compute.gatherRows(x, rows, own);
        compute.rmsNorm(own, norm, parts.spec().eps(), own);
        gated(parts.weights().expert(layer, expert), experts.width(), own);
        done(parts.weights().expert(layer, expert).all());
        compute.scatterAdd(own, rows, assignment.factors(expert), sum);
      }
    }
    compute.add(sum, x);
    scratch.release(mark);
  }

  /// Lets the router choose, and shows it to the observer.
  private void route(Matrix input, long first, Routing routing) throws IOException {
    long mark = parts.scratch().mark();
    Matrix logits = parts.scratch().matrix(input.rows(), experts.rule().experts());
    parts.linears().multiply(parts.weights().router(layer), input, logits, options);
    for (long i = 0; i < input.rows(); i++) {
      long token = first + i;
      float[] own = row(logits, i);
      options
          .forced()
          .filter(forced -> forced.covers(token))
          .ifPresentOrElse(
              forced -> router.follow(own, forced, routing, token),
              () -> router.choose(own, routing, token));
      options.observer().scored(layer, token, router.scores(), routing);
    }
    parts.scratch().release(mark);
  }

  /// Begins the sum with what the shared expert gives; `input` is lost.
  private void shared(Matrix input, Matrix sum) throws IOException {
    if (experts.sharedWidth() == 0) {
      parts.compute().clear(sum);
      return;
    }
    gated(parts.weights().sharedExpert(layer), experts.sharedWidth(), input);
    parts.compute().copy(input, sum);
  }

  private void gated(Gated unit, int width, Matrix x) throws IOException {
    long mark = parts.scratch().mark();
    Matrix gate = parts.scratch().matrix(x.rows(), width);
    Matrix up = parts.scratch().matrix(x.rows(), width);
    parts.linears().gated(unit, x, gate, up, options);
    parts.scratch().release(mark);
  }

  private void done(List<Weight> part) throws IOException {
    if (options.isObserved() && !part.isEmpty()) {
      options.observer().done(part);
    }
  }

  private static float[] row(Matrix matrix, long row) {
    float[] numbers = new float[Math.toIntExact(matrix.cols())];
    java.lang.foreign.MemorySegment.copy(
        matrix.data(), Matrix.F32, matrix.at(row, 0), numbers, 0, numbers.length);
    return numbers;
  }
}
