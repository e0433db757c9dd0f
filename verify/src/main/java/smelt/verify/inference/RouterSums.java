package smelt.verify.inference;

import java.util.List;
import java.util.OptionalDouble;
import smelt.calibrate.model.Routing;
import smelt.verify.quality.RouterScore;
import smelt.verify.stats.Limits;

/// Sums over tokens for a [RouterScore]: the experts that the source's router chose against those
/// that the result's router chose for the same tokens.
final class RouterSums {

  private long tokens;
  private long sameSets;
  private double overlap;
  private final SequenceSums tokensOf = new SequenceSums();
  private final SequenceSums lostMass = new SequenceSums();
  private double lostSquares;
  private boolean identical = true;
  private long firstChanged;
  private long decidedFlips;

  /// Adds one token.
  ///
  /// @param sequence its sequence's number among all
  /// @param token its number in both routings
  void add(int sequence, Routing source, Routing result, long token) {
    int k = source.k();
    double sourceMass = mass(source, token);
    double resultMass = mass(result, token);
    double massOverlap = 0;
    int shared = 0;
    for (int i = 0; i < k; i++) {
      int other = rankOf(result, token, source.expert(token, i));
      if (other >= 0) {
        shared++;
        identical &= source.weight(token, i) == result.weight(token, other);
        massOverlap +=
            Math.min(
                source.weight(token, i) / sourceMass, result.weight(token, other) / resultMass);
      }
    }
    tokens++;
    tokensOf.add(sequence, 1);
    lostMass.add(sequence, 1 - massOverlap);
    lostSquares += (1 - massOverlap) * (1 - massOverlap);
    identical &= shared == k;
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
  ///
  /// @param documents for each sequence the number of its document
  /// @param designEffect of the KL, for where routing hardly differs
  RouterScore score(List<Integer> documents, double confidence, double designEffect) {
    double n = tokens;
    double mass = Math.min(1, 1 - lostMass.total() / n);
    return new RouterScore(
        sameSets / n,
        overlap / n,
        mass,
        identical ? OptionalDouble.of(mass) : massLimit(documents, confidence, designEffect),
        firstChanged / n,
        decidedFlips / n);
  }

  private OptionalDouble massLimit(
      List<Integer> documents, double confidence, double designEffect) {
    OptionalDouble lost =
        Limits.upperOfUnit(
            lostMass.of(documents), tokensOf.of(documents), lostSquares, designEffect, confidence);
    return lost.isPresent() ? OptionalDouble.of(1 - lost.getAsDouble()) : lost;
  }
}
