package smelt.calibrate.cost;

import java.util.List;
import java.util.stream.LongStream;
import smelt.calibrate.model.Attention;
import smelt.calibrate.model.FeedForward;
import smelt.calibrate.model.ModelSpec;

/// The operations of the reference model, counted from the config. One multiplication and one
/// addition are two operations. Counted are products of matrices, exactly; norms, rotations and
/// activation functions, which are of the order of the hidden size where products are of its
/// square, are not.
///
/// | part | operations for a token |
/// |---|---|
/// | a linear `[rows, cols]` | `2 rows cols` |
/// | scores and sums of attention over `n` keys | `2 n heads (query size + value size)` in each layer |
///
/// The token at position `i` of a sequence sees `i + 1` keys, so a sequence of `n` tokens has `n (n
/// +
/// 1) / 2` pairs of query and key in each head.
///
/// @param attention products of the linears of attention of all layers, for a token
/// @param dense the same of feed-forward halves without experts
/// @param router the same of routers
/// @param sharedExperts the same of shared experts
/// @param routedExperts the same of the routed experts that a token goes to
/// @param head the same of the head
/// @param unchosenExperts the same of the routed experts that a token does not go to
/// @param pair operations for a query and a key, in all heads of all layers
/// @param hessians sums of `x xT` over inputs of routed experts, for a token
/// @param solving what GPTQ of all routed experts takes, whatever the tokens
public record CostModel(
    long attention,
    long dense,
    long router,
    long sharedExperts,
    long routedExperts,
    long head,
    long unchosenExperts,
    long pair,
    long hessians,
    long solving) {

  /// A part of a token's operations.
  public record Part(String name, long flops) {}

  /// Counts a model.
  public static CostModel of(ModelSpec spec) {
    Counts counts = new Counts(spec);
    spec.layers().forEach(counts::add);
    long layers = spec.layerCount();
    return new CostModel(
        layers * linears(spec.attention(), spec.hidden()),
        counts.dense,
        counts.router,
        counts.shared,
        counts.routed,
        linear(spec.vocabulary(), spec.hidden()),
        counts.unchosen,
        layers * pair(spec.attention()),
        counts.hessians,
        counts.solving);
  }

  /// Operations for a token but those of attention's scores, by part.
  public List<Part> parts() {
    return List.of(
        new Part("attention", attention),
        new Part("dense", dense),
        new Part("router", router),
        new Part("shared experts", sharedExperts),
        new Part("routed experts", routedExperts),
        new Part("head", head));
  }

  /// Operations for a token in products with weights.
  public long products() {
    return parts().stream().mapToLong(Part::flops).sum();
  }

  /// The same if every token went to every expert.
  public long productsOfAllExperts() {
    return Math.addExact(products(), unchosenExperts);
  }

  /// Operations of attention's scores and sums in a sequence of so many tokens.
  public long scores(long length) {
    return Math.multiplyExact(pair, Math.multiplyExact(length, length + 1) / 2);
  }

  /// The same for a token of a sequence of so many tokens, on average.
  public double scoresPerToken(long length) {
    return pair * (length + 1) / 2.0;
  }

  /// Operations of a forward pass over sequences of these lengths.
  public long forward(LongStream lengths) {
    return lengths
        .map(n -> Math.addExact(Math.multiplyExact(products(), n), scores(n)))
        .reduce(0, Math::addExact);
  }

  /// Operations of a forward pass over so many tokens in sequences of `length`; the last may be
  /// shorter.
  public double forward(long tokens, long length) {
    return forwardWithoutHead(tokens, length) + (double) head * tokens;
  }

  /// The same up to the head.
  public double forwardWithoutHead(long tokens, long length) {
    double linears = (double) (products() - head) * tokens;
    long whole = tokens / length;
    return linears + (double) whole * scores(length) + scores(tokens % length);
  }

  /// Tokens of a forward pass for which computing takes as long as reading once.
  ///
  /// @param bytes of the weights that it reads
  /// @param flopsPerToken such as `products()`, with or without scores; of all paths together
  public static double crossover(long bytes, double flopsPerToken, Rates rates) {
    return bytes / rates.read() * rates.flops() / flopsPerToken;
  }

  private static long linear(long rows, long cols) {
    return Math.multiplyExact(2, Math.multiplyExact(rows, cols));
  }

  private static long linears(Attention attention, long hidden) {
    return switch (attention) {
      case Attention.Mla mla -> {
        long queries = (long) mla.heads() * mla.querySize();
        long query =
            mla.queryRank().isPresent()
                ? linear(mla.queryRank().getAsInt(), hidden + queries)
                : linear(queries, hidden);
        long latent = linear((long) mla.latentRank() + mla.rotatedSize(), hidden);
        long both = (long) mla.heads() * (mla.plainSize() + mla.valueSize());
        long output = linear(hidden, (long) mla.heads() * mla.valueSize());
        yield query + latent + linear(both, mla.latentRank()) + output;
      }
      case Attention.Grouped grouped -> {
        long queries = (long) grouped.heads() * grouped.headSize();
        long keys = (long) grouped.keyValueHeads() * grouped.headSize();
        yield linear(queries + 2 * keys, hidden) + linear(hidden, queries);
      }
    };
  }

  private static long pair(Attention attention) {
    return switch (attention) {
      case Attention.Mla mla -> 2L * mla.heads() * (mla.querySize() + mla.valueSize());
      case Attention.Grouped grouped -> 2L * grouped.heads() * (2L * grouped.headSize());
    };
  }

  /// Sums over layers.
  private static final class Counts {
    private final long hidden;
    private long dense;
    private long router;
    private long shared;
    private long routed;
    private long unchosen;
    private long hessians;
    private long solving;

    Counts(ModelSpec spec) {
      hidden = spec.hidden();
    }

    void add(FeedForward layer) {
      switch (layer) {
        case FeedForward.Dense half -> dense += 3 * linear(half.width(), hidden);
        case FeedForward.Experts experts -> add(experts);
      }
    }

    private void add(FeedForward.Experts layer) {
      long experts = layer.rule().experts();
      long chosen = layer.rule().chosen();
      long one = 3 * linear(layer.width(), hidden);
      router += linear(experts, hidden);
      shared += 3 * linear(layer.sharedWidth(), hidden);
      routed += chosen * one;
      unchosen += (experts - chosen) * one;
      hessians += linear(hidden, hidden) + chosen * linear(layer.width(), layer.width());
      solving += inverse(hidden) + experts * inverse(layer.width());
      solving += experts * (2 * update(layer.width(), hidden) + update(hidden, layer.width()));
    }

    /// Cholesky factor of the inverse: two factors and an inversion.
    private static long inverse(long size) {
      return Math.multiplyExact(4, Math.multiplyExact(size, Math.multiplyExact(size, size))) / 3;
    }

    /// Each column's error goes to all columns behind it.
    private static long update(long rows, long cols) {
      return Math.multiplyExact(rows, Math.multiplyExact(cols, cols));
    }
  }
}
