package smelt.calibrate.observe;

import java.util.BitSet;
import java.util.stream.Stream;
import smelt.calibrate.model.Routing;

/// Counts what a router gives to the experts of a layer, token after token.
final class ExpertSums {

  private final long[] tokens;
  private final double[] mass;
  private final double[] squares;
  private final BitSet[] held;
  private long seen;

  ExpertSums(int experts) {
    held = Stream.generate(BitSet::new).limit(experts).toArray(BitSet[]::new);
    tokens = new long[experts];
    mass = new double[experts];
    squares = new double[experts];
  }

  int experts() {
    return tokens.length;
  }

  /// Tokens of all.
  long seen() {
    return seen;
  }

  long tokens(int expert) {
    return tokens[expert];
  }

  double mass(int expert) {
    return mass[expert];
  }

  double squares(int expert) {
    return squares[expert];
  }

  /// Of `count` of an expert's tokens from its `first` on, in the order in which they were counted,
  /// those held out.
  BitSet held(int expert, long first, long count) {
    return held[expert].get(Math.toIntExact(first), Math.toIntExact(first + count));
  }

  /// Counts `count` tokens from `first` on.
  void add(Routing routing, HeldOut heldOut, long first, long count) {
    for (long token = first; token < first + count; token++) {
      for (int rank = 0; rank < routing.k(); rank++) {
        int expert = routing.expert(token, rank);
        double weight = routing.weight(token, rank);
        held[expert].set(Math.toIntExact(tokens[expert]), heldOut.has(token));
        tokens[expert]++;
        mass[expert] += weight;
        squares[expert] += weight * weight;
      }
    }
    seen += count;
  }
}
