package smelt.calibrate.cost;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import smelt.calibrate.math.AttentionShape;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.Attention;
import smelt.calibrate.model.FeedForward;
import smelt.calibrate.model.ModelSpec;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.Tile;
import smelt.formats.codec.Transcoder;

/// Measures how fast this machine forms the products of a model: for some moments each, products
/// with weights that all tokens go through, products with an expert's weight for as many tokens as
/// an expert gets, and attention. The rate is that of all operations of a forward pass in their
/// proportions.
///
/// Weights are made up, in the encoding that is given, so what decoding takes is in it.
public final class ProductMeter {

  private static final double SLICE_SECONDS = 0.1;

  /// Slices in a row that are not faster than the one before them by so much.
  private static final int STEADY = 5;

  private static final double FASTER = 0.95;

  /// Then the last slices must do.
  private static final double MOST_SECONDS = 10;

  private static final long MOST_TOKENS = 512;
  private static final long MOST_ROWS = 4096;
  private static final long SEED = 7;

  private final ModelSpec spec;
  private final Compute compute;
  private final Encoding encoding;

  /// @param encoding of the model's linears; what cannot be written is taken as BF16
  public ProductMeter(ModelSpec spec, Encoding encoding, Compute compute) {
    this.spec = spec;
    this.compute = compute;
    Encoding bf16 = new Encoding.Plain(ElementType.BF16);
    this.encoding =
        Transcoder.supports(new Encoding.Plain(ElementType.F32), encoding) ? encoding : bf16;
  }

  /// Operations in a second of a forward pass.
  ///
  /// @param tokens of a batch, in sequences of `length`
  public double flops(long tokens, int length) {
    CostModel cost = CostModel.of(spec);
    double scores = cost.scoresPerToken(Math.min(tokens, length));
    double all = cost.products() - cost.routedExperts();
    double seconds = all / product(spec.hidden(), spec.hidden(), tokens);
    seconds += scores / attention((int) Math.min(tokens, length));
    if (cost.routedExperts() > 0) {
      FeedForward.Experts experts = experts();
      long own = Math.max(1, tokens * experts.rule().chosen() / experts.rule().experts());
      seconds += cost.routedExperts() / product(experts.width(), spec.hidden(), own);
    }
    return (cost.products() + scores) / seconds;
  }

  private FeedForward.Experts experts() {
    return spec.layers().stream()
        .filter(FeedForward.Experts.class::isInstance)
        .map(FeedForward.Experts.class::cast)
        .findFirst()
        .orElseThrow();
  }

  private double product(long allRows, long cols, long allTokens) {
    long rows = Math.min(allRows, MOST_ROWS);
    long tokens = Math.min(allTokens, MOST_TOKENS);
    try (Arena arena = Arena.ofShared()) {
      Matrix x = random(arena, tokens, cols);
      Tile weight = encoded(random(arena, rows, cols), arena);
      Matrix out = Matrix.zeros(arena, tokens, rows);
      return 2.0 * rows * cols * tokens / seconds(() -> compute.multiply(x, weight, out));
    }
  }

  private Tile encoded(Matrix numbers, Arena arena) {
    long rows = numbers.rows();
    long cols = numbers.cols();
    Encoding f32 = new Encoding.Plain(ElementType.F32);
    Tile from = Tile.plain(ElementType.F32, numbers.data(), numbers.offset(), rows, cols);
    Shape shape = Shape.of(rows, cols);
    MemorySegment codes = arena.allocate(encoding.codeBytes(shape.elements()), Long.BYTES);
    MemorySegment scales =
        encoding
            .scaleShape(shape)
            .map(s -> arena.allocate(s.bytes(encoding.scales().orElseThrow()), Long.BYTES))
            .orElse(MemorySegment.NULL);
    Tile to = new Tile(encoding, codes, 0, scales, 0, rows, cols);
    MemorySegment scratch = arena.allocate(Transcoder.scratchBytes(f32, encoding, cols));
    Transcoder.transcode(compute.codec(), from, to, scratch);
    return to;
  }

  private double attention(int length) {
    AttentionShape shape =
        switch (spec.attention()) {
          case Attention.Mla mla ->
              new AttentionShape(mla.heads(), mla.heads(), mla.querySize(), mla.valueSize(), 0.1f);
          case Attention.Grouped grouped ->
              new AttentionShape(
                  grouped.heads(),
                  grouped.keyValueHeads(),
                  grouped.headSize(),
                  grouped.headSize(),
                  0.1f);
        };
    try (Arena arena = Arena.ofShared()) {
      Matrix q = random(arena, length, (long) shape.heads() * shape.qkDim());
      Matrix k = random(arena, length, (long) shape.kvHeads() * shape.qkDim());
      Matrix v = random(arena, length, (long) shape.kvHeads() * shape.vDim());
      Matrix out = Matrix.zeros(arena, length, (long) shape.heads() * shape.vDim());
      double pairs = length * (length + 1.0) / 2 * shape.heads();
      double seconds = seconds(() -> compute.attention(shape, q, k, v, out));
      return 2 * pairs * (shape.qkDim() + shape.vDim()) / seconds;
    }
  }

  private static Matrix random(Arena arena, long rows, long cols) {
    Random random = new Random(SEED);
    Matrix matrix = Matrix.zeros(arena, rows, cols);
    for (long row = 0; row < rows; row++) {
      for (long col = 0; col < cols; col++) {
        matrix.data().set(Matrix.F32, matrix.at(row, col), (float) random.nextGaussian());
      }
    }
    return matrix;
  }

  /// Seconds of one run, on average, once it does not get faster any more: code that was not used
  /// before is compiled while it runs.
  private static double seconds(Runnable work) {
    List<Double> slices = new ArrayList<>();
    double mark = Double.POSITIVE_INFINITY;
    int steady = 0;
    long start = System.nanoTime();
    while (steady < STEADY && (System.nanoTime() - start) / 1e9 < MOST_SECONDS) {
      double found = slice(work);
      slices.add(found);
      steady = found < mark * FASTER ? 0 : steady + 1;
      mark = steady == 0 ? found : mark;
    }
    return slices.subList(Math.max(0, slices.size() - STEADY), slices.size()).stream()
        .mapToDouble(Double::doubleValue)
        .average()
        .orElseThrow();
  }

  /// Seconds of one run, on average over a moment.
  private static double slice(Runnable work) {
    long start = System.nanoTime();
    int runs = 0;
    double seconds = 0;
    while (seconds < SLICE_SECONDS) {
      work.run();
      runs++;
      seconds = (System.nanoTime() - start) / 1e9;
    }
    return seconds / runs;
  }
}
