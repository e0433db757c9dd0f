package smelt.verify.inference;

import smelt.calibrate.model.Routing;
import smelt.verify.quality.RouterScore;

/// Sums over tokens for a [RouterScore]: the experts that the source's router chose against those
/// that the result's router chose for the same tokens.
final class RouterSums {

  private long tokens;
  private long sameSets;
  private double overlap;
  private double massOverlap;
  private long firstChanged;
  private long decidedFlips;

  /// Adds one token.
  ///
  /// @param token its number in both routings
  void add(Routing source, Routing result, long token) {
    int k = source.k();
    double sourceMass = mass(source, token);
    double resultMass = mass(result, token);
    int shared = 0;
    for (int i = 0; i < k; i++) {
      int other = rankOf(result, token, source.expert(token, i));
      if (other >= 0) {
        shared++;
        massOverlap +=
            Math.min(
                source.weight(token, i) / sourceMass, result.weight(token, other) / resultMass);
      }
    }
    tokens++;
    overlap += (double) shared / k;
    if (heaviest(source, token) != heaviest(result, token)) {
      firstChanged++;
    }
    if (shared == k) {
      sameSets++;
    } else if (source.margin(token) > RouterScore.DECIDED) {
      decidedFlips++;
    }
  }

  private static int rankOf(Routing routing, long token, int expert) {
    for (int i = 0; i < routing.k(); i++) {
      if (routing.expert(token, i) == expert) {
        return i;
      }
    }
    return -1;
  }

  private static double mass(Routing routing, long token) {
    double sum = 0;
    for (int i = 0; i < routing.k(); i++) {
      sum += routing.weight(token, i);
    }
    return sum;
  }

  private static int heaviest(Routing routing, long token) {
    int best = 0;
    for (int i = 1; i < routing.k(); i++) {
      if (routing.weight(token, i) > routing.weight(token, best)) {
        best = i;
      }
    }
    return routing.expert(token, best);
  }

  /// The shares and means over all tokens; there is at least one.
  RouterScore score() {
    double n = tokens;
    return new RouterScore(
        sameSets / n,
        overlap / n,
        Math.min(1, massOverlap / n),
        firstChanged / n,
        decidedFlips / n);
  }
}
