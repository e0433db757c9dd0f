package smelt.calibrate.observe;

import java.util.Optional;
import java.util.stream.IntStream;
import smelt.calibrate.model.FeedForward;
import smelt.calibrate.model.ModelSpec;
import smelt.calibrate.model.Routing;
import smelt.calibrate.model.RoutingRule;

/// For each expert the tokens that came close to being routed to it: those to which its router gave
/// the highest scores, of the tokens that did not choose it. Among equal scores the earlier token
/// is closer.
///
/// Twice as many are kept as an evenly used expert gets, and a choice is spread evenly over them.
/// The closest alone are no sample of what an expert would get: with the 128 closest of 8,192
/// tokens INT4 weights of the sample model lose 36.5 % more than with all tokens, with 128 that are
/// spread over twice the even share 4.5 % (decision 0025).
final class NearestTokens {

  private static final long EVEN_SHARES = 2;

  private final int most;
  private final float[][] scores;
  private final int[][] tokens;
  private final int[] sizes;

  /// @param most tokens that are kept for an expert
  NearestTokens(int experts, int most) {
    this.most = most;
    scores = new float[experts][most];
    tokens = new int[experts][most];
    sizes = new int[experts];
  }

  /// Empty, for a layer.
  static NearestTokens of(ModelSpec spec, int layer, LayerObserver.Options options) {
    return experts(spec, layer)
        .map(rule -> new NearestTokens(rule.experts(), most(rule, options)))
        .orElseGet(() -> new NearestTokens(0, 0));
  }

  private static Optional<RoutingRule> experts(ModelSpec spec, int layer) {
    return layer < spec.layerCount()
            && spec.layers().get(layer) instanceof FeedForward.Experts experts
        ? Optional.of(experts.rule())
        : Optional.empty();
  }

  /// Twice the even share, and at least what an expert can lack.
  private static int most(RoutingRule rule, LayerObserver.Options options) {
    long share = Math.ceilDiv(EVEN_SHARES * options.sample() * rule.chosen(), rule.experts());
    return options.floor() == 0 ? 0 : Math.toIntExact(Math.max(options.floor(), share));
  }

  /// Heap bytes.
  static long bytes(ModelSpec spec, int layer, LayerObserver.Options options) {
    return experts(spec, layer)
        .map(rule ->
            Math.multiplyExact(
                (long) rule.experts(),
                most(rule, options) * (long) (Float.BYTES + Integer.BYTES) + 64))
        .orElse(0L);
  }

  /// Takes note of a token. Tokens come in ascending order.
  ///
  /// @param scored one score for each expert
  void add(long token, float[] scored, Routing routing) {
    for (int expert = 0; expert < sizes.length && most > 0; expert++) {
      boolean isFull = sizes[expert] == most;
      if (!(isFull && scored[expert] <= scores[expert][0]) && !chose(routing, token, expert)) {
        if (isFull) {
          replaceLeast(expert, scored[expert], Math.toIntExact(token));
        } else {
          insert(expert, scored[expert], Math.toIntExact(token));
        }
      }
    }
  }

  private static boolean chose(Routing routing, long token, int expert) {
    for (int rank = 0; rank < routing.k(); rank++) {
      if (routing.expert(token, rank) == expert) {
        return true;
      }
    }
    return false;
  }

  /// Close tokens of an expert, closest first: all that are kept, or so many of them, evenly
  /// spread.
  int[] choose(int expert, int count) {
    int size = sizes[expert];
    int[] sorted =
        IntStream.range(0, size)
            .boxed()
            .sorted((a, b) -> isFarther(expert, a, b) ? 1 : -1)
            .mapToInt(i -> tokens[expert][i])
            .toArray();
    int wanted = Math.min(count, size);
    return IntStream.range(0, wanted)
        .map(i -> sorted[Math.toIntExact((long) i * size / wanted)])
        .toArray();
  }

  /// Whether the token at one place is farther than the one at another.
  private boolean isFarther(int expert, int a, int b) {
    float[] own = scores[expert];
    return own[a] < own[b] || (own[a] == own[b] && tokens[expert][a] > tokens[expert][b]);
  }

  private void insert(int expert, float score, int token) {
    int at = sizes[expert]++;
    scores[expert][at] = score;
    tokens[expert][at] = token;
    while (at > 0 && isFarther(expert, at, (at - 1) / 2)) {
      swap(expert, at, (at - 1) / 2);
      at = (at - 1) / 2;
    }
  }

  /// The farthest stands at place 0 of a heap.
  private void replaceLeast(int expert, float score, int token) {
    scores[expert][0] = score;
    tokens[expert][0] = token;
    int at = 0;
    int farthest = farthestChild(expert, at);
    while (farthest != at) {
      swap(expert, at, farthest);
      at = farthest;
      farthest = farthestChild(expert, at);
    }
  }

  private int farthestChild(int expert, int at) {
    int farthest = at;
    for (int child = 2 * at + 1; child <= 2 * at + 2 && child < most; child++) {
      farthest = isFarther(expert, child, farthest) ? child : farthest;
    }
    return farthest;
  }

  private void swap(int expert, int a, int b) {
    float score = scores[expert][a];
    scores[expert][a] = scores[expert][b];
    scores[expert][b] = score;
    int token = tokens[expert][a];
    tokens[expert][a] = tokens[expert][b];
    tokens[expert][b] = token;
  }
}
