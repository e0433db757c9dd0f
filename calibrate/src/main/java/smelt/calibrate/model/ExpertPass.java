package smelt.calibrate.model;

import java.io.IOException;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.ModelWeights.Gated;

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
    route(input, first, routing);
    options.observer().routed(layer, input, first, routing);
    shared(input, sum);
    Assignment assignment = Assignment.of(routing, first, x.rows(), experts.rule().experts());
    for (int expert = 0; expert < experts.rule().experts(); expert++) {
      int[] rows = assignment.rows(expert);
      if (rows.length > 0) {
        Matrix own = input.rows(0, rows.length);
        compute.gatherRows(x, rows, own);
        compute.rmsNorm(own, norm, parts.spec().eps(), own);
        gated(parts.weights().expert(layer, expert), experts.width(), own);
        compute.scatterAdd(own, rows, assignment.factors(expert), sum);
      }
    }
    compute.add(sum, x);
    scratch.release(mark);
  }

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
    }
    parts.scratch().release(mark);
  }

  /// Begins the sum with what the shared expert gives; `input` is lost.
  private void shared(Matrix input, Matrix sum) throws IOException {
    if (experts.sharedWidth() == 0) {
      sum.data().fill((byte) 0);
      return;
    }
    gated(parts.weights().sharedExpert(layer), experts.sharedWidth(), input);
    sum.data().copyFrom(input.data());
  }

  private void gated(Gated unit, int width, Matrix x) throws IOException {
    long mark = parts.scratch().mark();
    Matrix gate = parts.scratch().matrix(x.rows(), width);
    Matrix up = parts.scratch().matrix(x.rows(), width);
    parts.linears().gated(unit, x, gate, up, options);
    parts.scratch().release(mark);
    if (options.isObserved()) {
      options.observer().done(unit.all());
    }
  }

  private static float[] row(Matrix matrix, long row) {
    float[] numbers = new float[Math.toIntExact(matrix.cols())];
    java.lang.foreign.MemorySegment.copy(
        matrix.data(), Matrix.F32, matrix.at(row, 0), numbers, 0, numbers.length);
    return numbers;
  }
}
