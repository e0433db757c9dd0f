package smelt.verify.quality;

import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import smelt.verify.quality.Gate.Outcome;

/// Scores of a conversion that is as good, or as bad, as a test says.
final class PlantedScores {

  private PlantedScores() {}

  /// Log-normal KL of the given mean in sequences of 50 tokens; the log-probabilities and the
  /// likeliest tokens differ as such a KL makes them differ.
  static TokenScores tokens(int sequences, double meanKl, double forcedShare) {
    int n = sequences * 50;
    SplittableRandom random = new SplittableRandom(11);
    TokenScores scores = blank(n);
    for (int i = 0; i < n; i++) {
      scores.sequence()[i] = i / 50;
      scores.position()[i] = i % 50;
      double kl = meanKl * StrictMath.exp(random.nextGaussian() - 0.5);
      scores.kl()[i] = kl;
      scores.forcedKl()[i] = kl * forcedShare;
      scores.logP()[i] = -2;
      scores.logQ()[i] = -2 + StrictMath.sqrt(2 * kl) * random.nextGaussian() - kl;
      scores.sameTop()[i] = random.nextDouble() > 0.5 * StrictMath.sqrt(kl);
      scores.sameTopForced()[i] = scores.sameTop()[i];
    }
    return scores;
  }

  /// Two paths that agree to the bit.
  static TokenScores identical(int n) {
    TokenScores scores = blank(n);
    for (int i = 0; i < n; i++) {
      scores.sequence()[i] = i / 50;
      scores.logP()[i] = -1 - i % 3;
      scores.logQ()[i] = -1 - i % 3;
      scores.sameTop()[i] = true;
      scores.sameTopForced()[i] = true;
    }
    return scores;
  }

  private static TokenScores blank(int n) {
    return new TokenScores(
        new int[n],
        new int[n],
        new int[n],
        new double[n],
        new double[n],
        new double[n],
        new double[n],
        new boolean[n],
        new boolean[n],
        new double[n]);
  }

  static TensorScore tensor(String name, double sqnrDb, long nonFinite) {
    return new TensorScore(
        name,
        "attention",
        OptionalInt.of(0),
        OptionalInt.empty(),
        Optional.empty(),
        "BF16",
        "I8 channel",
        100,
        sqnrDb == Double.POSITIVE_INFINITY && nonFinite == 0,
        sqnrDb,
        0,
        0,
        1,
        nonFinite,
        0,
        Optional.empty(),
        Optional.empty());
  }

  static LayerScore layer(int number, double localDb, double massOverlap) {
    return new LayerScore(
        number,
        localDb,
        OptionalDouble.of(localDb),
        localDb,
        localDb,
        Optional.of(new RouterScore(1, 1, massOverlap, OptionalDouble.of(massOverlap), 0, 0)));
  }

  static List<TensorScore> goodTensors() {
    return List.of(
        tensor("a", 60, 0), tensor("b", 61, 0), tensor("kept", Double.POSITIVE_INFINITY, 0));
  }

  static List<LayerScore> goodLayers() {
    return List.of(layer(0, 60, 0.999), layer(1, 61, 0.9995));
  }

  /// With nothing changed but numbers.
  static Evidence evidence(
      Optional<TokenScores> tokens, List<LayerScore> layers, List<TensorScore> tensors) {
    return new Evidence(tokens, layers, tensors, ModelChanges.NONE);
  }

  static Gate gate(Verdict verdict, Metric metric) {
    return verdict.gates().stream()
        .filter(gate -> gate.metric() == metric)
        .findFirst()
        .orElseThrow();
  }

  static List<Metric> notPassed(Verdict verdict) {
    return verdict.gates().stream()
        .filter(gate -> gate.outcome() != Outcome.PASS)
        .map(Gate::metric)
        .toList();
  }
}
