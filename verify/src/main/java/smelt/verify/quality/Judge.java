package smelt.verify.quality;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import smelt.verify.stats.ClusteredMean;
import smelt.verify.stats.Sequences;

/// Holds scores against bounds. All gates must pass, so each may stand at 5 % without making a
/// false pass likelier than 5 %: a result that breaks one bound must get past that bound's gate.
public final class Judge {

  private static final int WORST = 10;

  private Judge() {}

  /// Every bound as a gate, in the order of [Metric].
  ///
  /// @param bounds the profile's, or what the recipe made of them
  public static Verdict judge(Profile profile, Bounds bounds, Evidence evidence) {
    Optional<TokenGates> sampled =
        evidence
            .tokens()
            .filter(scores -> scores.size() > 0)
            .map(scores -> new TokenGates(scores, evidence.look()));
    String absent = evidence.tokens().isPresent() ? "no token was scored" : "no inference was made";
    ExactGates exact = new ExactGates(evidence);
    LayerGates layers = new LayerGates(evidence.layers(), decision(evidence));
    List<Gate> gates = new ArrayList<>();
    bounds
        .values()
        .forEach((metric, bound) -> gates.add(gate(metric, bound, sampled, absent, exact, layers)));
    return new Verdict(
        profile.label(),
        evidence.look(),
        gates,
        ExactGates.worstTensors(evidence.tensors(), WORST).stream()
            .map(TensorScore::tensor)
            .toList(),
        LayerGates.worstLayers(evidence.layers(), WORST).stream().map(LayerScore::layer).toList());
  }

  private static Decision decision(Evidence evidence) {
    int[] documents = evidence.tokens().map(TokenScores::document).orElse(new int[0]);
    return new Decision(
        evidence.look(), documents.length, (int) IntStream.of(documents).distinct().count());
  }

  private static Gate gate(
      Metric metric,
      double bound,
      Optional<TokenGates> sampled,
      String absent,
      ExactGates exact,
      LayerGates layers) {
    return switch (metric) {
      case WEIGHT_SQNR -> exact.weightSqnr(bound);
      case LAYER_SQNR -> layers.layerSqnr(bound);
      case ROUTED_MASS -> layers.routedMass(bound);
      case BIT_EXACT -> exact.bitExact(bound);
      case NON_FINITE -> exact.nonFinite(bound);
      case MODEL_CHANGES -> exact.modelChanges(bound);
      case MEAN_KL, KL_999, SAME_TOP, PPL_RATIO ->
          sampled
              .map(gates -> sampledGate(metric, bound, gates))
              .orElseGet(() -> ExactGates.skipped(metric, bound, absent));
    };
  }

  private static Gate sampledGate(Metric metric, double bound, TokenGates gates) {
    return switch (metric) {
      case MEAN_KL -> gates.meanKl(bound);
      case KL_999 -> gates.kl999(bound);
      case SAME_TOP -> gates.sameTop(bound);
      case PPL_RATIO -> gates.pplRatio(bound);
      case WEIGHT_SQNR, LAYER_SQNR, ROUTED_MASS, BIT_EXACT, NON_FINITE, MODEL_CHANGES ->
          throw new AssertionError(metric);
    };
  }

  /// What a reader of the verdict should know: where the KL comes from, what the sample is worth,
  /// and which bounds are not the profile's own. Sentences.
  ///
  /// @param look that the verdict is from
  public static List<String> notes(
      Profile profile, Bounds bounds, Optional<TokenScores> tokens, Look look) {
    List<String> notes = new ArrayList<>();
    tokens
        .filter(scores -> scores.size() > 0)
        .ifPresent(scores -> {
          flips(scores).ifPresent(notes::add);
          notes.add(worth(scores, look));
        });
    changed(profile, bounds).ifPresent(notes::add);
    return List.copyOf(notes);
  }

  /// Which share of the KL is due to routing flips; empty where both paths choose the same experts
  /// or nothing differs.
  private static Optional<String> flips(TokenScores scores) {
    double free = mean(scores.kl());
    double forced = mean(scores.forcedKl());
    if (!(free > 0) || Arrays.equals(scores.kl(), scores.forcedKl())) {
      return Optional.empty();
    }
    String figures = "(free " + Figures.small(free) + ", forced " + Figures.small(forced) + ").";
    long share = Math.round(100 * (1 - forced / free));
    return Optional.of(
        share > 0
            ? share + " % of the KL comes from routing flips " + figures
            : "Routing flips add nothing to the KL " + figures);
  }

  private static String worth(TokenScores scores, Look look) {
    Sequences sequences = new Sequences(scores.document());
    ClusteredMean kl = ClusteredMean.of(sequences, scores.kl());
    double independent = scores.size() / Math.max(1, kl.designEffect());
    return String.format(
        Locale.ROOT,
        "Limits are one-sided %s limits over %,d %s with %,d tokens; for the mean KL "
            + "these are worth %,.0f independent tokens (design effect %.1f).%s",
        look.level(),
        sequences.count(),
        look.units().word(sequences.count()),
        scores.size(),
        independent,
        kl.designEffect(),
        look.units() == Units.DOCUMENTS
            ? ""
            : " Pieces of one text depend on each other: limits are tighter than they should be.");
  }

  private static Optional<String> changed(Profile profile, Bounds bounds) {
    Map<Metric, Double> own = profile.bounds().values();
    String set =
        bounds.values().entrySet().stream()
            .filter(bound -> !bound.getValue().equals(own.get(bound.getKey())))
            .map(bound ->
                bound.getKey().label()
                    + " "
                    + bound.getValue()
                    + " instead of "
                    + (own.containsKey(bound.getKey()) ? own.get(bound.getKey()) : "none"))
            .collect(Collectors.joining(", "));
    String dropped =
        own.keySet().stream()
            .filter(metric -> !bounds.values().containsKey(metric))
            .map(Metric::label)
            .collect(Collectors.joining(", "));
    List<String> parts = new ArrayList<>();
    if (!set.isEmpty()) {
      parts.add("Bounds set apart from profile " + profile.label() + ": " + set + ".");
    }
    if (!dropped.isEmpty()) {
      parts.add("Not judged: " + dropped + ".");
    }
    return parts.isEmpty() ? Optional.empty() : Optional.of(String.join(" ", parts));
  }

  private static double mean(double[] values) {
    double sum = 0;
    for (double value : values) {
      sum += value;
    }
    return sum / values.length;
  }
}
