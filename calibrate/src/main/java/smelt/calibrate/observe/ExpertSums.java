package smelt.calibrate.observe;

import smelt.calibrate.model.Routing;

/// Counts what a router gives to the experts of a layer, token after token.
final class ExpertSums {

  private final long[] tokens;
  private final double[] mass;
  private final double[] squares;
  private long seen;

  ExpertSums(int experts) {
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

  /// Counts `count` tokens from `first` on.
  void add(Routing routing, long first, long count) {
    for (long token = first; token < first + count; token++) {
      for (int rank = 0; rank < routing.k(); rank++) {
        int expert = routing.expert(token, rank);
        double weight = routing.weight(token, rank);
        tokens[expert]++;
        mass[expert] += weight;
        squares[expert] += weight * weight;
      }
    }
    seen += count;
  }
}
