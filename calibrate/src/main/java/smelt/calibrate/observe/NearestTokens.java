package smelt.calibrate.observe;

import java.util.stream.IntStream;
import smelt.calibrate.model.Routing;

/// For each expert the tokens that came closest to being routed to it: those to which its router
/// gave the highest scores, of the tokens that did not choose it. Among equal scores the earlier
/// token is closer.
final class NearestTokens {

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

  /// Heap bytes.
  static long bytes(long experts, long most) {
    return Math.multiplyExact(experts, most * (Float.BYTES + Integer.BYTES) + 64);
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

  /// The closest tokens of an expert, closest first.
  int[] closest(int expert, int count) {
    int size = sizes[expert];
    return IntStream.range(0, size)
        .boxed()
        .sorted((a, b) -> isFarther(expert, a, b) ? 1 : -1)
        .limit(count)
        .mapToInt(i -> tokens[expert][i])
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
