package smelt.calibrate.model;

import java.util.Objects;

/// The experts that one layer chose for the tokens of a batch.
public final class Routing {

  private final int k;
  private final int tokens;
  private final int[] experts;
  private final float[] weights;
  private final float[] margins;

  Routing(int k, int tokens) {
    this.k = k;
    this.tokens = tokens;
    experts = new int[Math.multiplyExact(tokens, k)];
    weights = new float[experts.length];
    margins = new float[tokens];
  }

  /// Heap bytes for so many tokens.
  static long bytes(int k, long tokens) {
    return Math.multiplyExact(tokens, 8L * k + 4);
  }

  /// Experts per token.
  public int k() {
    return k;
  }

  public long tokens() {
    return tokens;
  }

  /// The expert of a rank; rank 0 has the highest score that decides the choice.
  public int expert(long token, int rank) {
    return experts[at(token, rank)];
  }

  /// What the output of that expert is multiplied by.
  public float weight(long token, int rank) {
    return weights[at(token, rank)];
  }

  /// How far the choice is from another one, see [Router].
  public float margin(long token) {
    return margins[Math.toIntExact(token)];
  }

  /// The choices for the tokens from `first` on, as those of a batch of their own.
  public Routing from(long first) {
    int start = Math.toIntExact(first);
    Routing rest = new Routing(k, Math.subtractExact(tokens, start));
    System.arraycopy(experts, start * k, rest.experts, 0, rest.experts.length);
    System.arraycopy(weights, start * k, rest.weights, 0, rest.weights.length);
    System.arraycopy(margins, start, rest.margins, 0, rest.margins.length);
    return rest;
  }

  void set(long token, int rank, int expert, float weight) {
    experts[at(token, rank)] = expert;
    weights[at(token, rank)] = weight;
  }

  void setMargin(long token, float margin) {
    margins[Math.toIntExact(token)] = margin;
  }

  private int at(long token, int rank) {
    Objects.checkIndex(rank, k);
    return Math.toIntExact(Objects.checkIndex(token, (long) tokens) * k + rank);
  }
}
