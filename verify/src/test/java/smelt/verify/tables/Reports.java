package smelt.verify.tables;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.Random;
import smelt.formats.checkpoint.Projection;
import smelt.verify.quality.ExpertUse;
import smelt.verify.quality.Gate;
import smelt.verify.quality.LayerScore;
import smelt.verify.quality.Metric;
import smelt.verify.quality.QualityReport;
import smelt.verify.quality.RouterScore;
import smelt.verify.quality.Subject;
import smelt.verify.quality.TensorScore;
import smelt.verify.quality.TokenScores;
import smelt.verify.quality.Verdict;

/// Reports with figures that a test can know.
final class Reports {

  private Reports() {}

  /// Three layers, the first of them dense, with four experts each; of layer 2 expert 3 is dead.
  static QualityReport of(int tokens) {
    return report(Optional.of(tokens(tokens)), layers(), experts());
  }

  static QualityReport withoutInference() {
    return report(Optional.empty(), List.of(), List.of());
  }

  private static QualityReport report(
      Optional<TokenScores> tokens, List<LayerScore> layers, List<ExpertUse> experts) {
    Gate gate =
        new Gate(Metric.MEAN_KL, 0.01, 0.002, OptionalDouble.of(0.003), Gate.Outcome.PASS, "");
    return new QualityReport(
        new Subject(
            "tiny",
            "tiny-int8",
            "DeepseekV3ForCausalLM",
            "INT8 per channel",
            "INT8 per token",
            2000,
            1000,
            List.of(),
            2,
            "0.1.0",
            "scalar, 1 thread",
            "smelt verify tiny-int8 --against tiny"),
        new Verdict("w8a8", List.of(gate), List.of(), List.of()),
        Optional.empty(),
        tokens,
        tensors(),
        layers,
        experts,
        List.of(),
        Map.of(),
        List.of());
  }

  private static List<TensorScore> tensors() {
    List<TensorScore> scores = new ArrayList<>();
    for (int layer = 2; layer >= 1; layer--) {
      for (int expert = 0; expert < 4; expert++) {
        for (Projection projection : Projection.values()) {
          scores.add(expert(layer, expert, projection));
        }
      }
    }
    scores.add(plain("model.norm.weight", "norm", OptionalInt.empty()));
    scores.add(plain("model.layers.0.input_layernorm.weight", "norm", OptionalInt.of(0)));
    return scores;
  }

  private static TensorScore expert(int layer, int expert, Projection projection) {
    return new TensorScore(
        "model.layers." + layer + ".mlp.experts." + expert + "." + projection,
        "routed_expert",
        OptionalInt.of(layer),
        OptionalInt.of(expert),
        Optional.of(projection),
        "BF16",
        "I8 channel",
        4096,
        false,
        45 - 0.5 * expert - layer - 0.01 * List.of(Projection.values()).indexOf(projection),
        0.001,
        0.01,
        0.9999,
        0,
        0.0078125,
        Optional.of(1e-4),
        Optional.of(2e-4));
  }

  private static TensorScore plain(String name, String role, OptionalInt layer) {
    return new TensorScore(
        name,
        role,
        layer,
        OptionalInt.empty(),
        Optional.empty(),
        "BF16",
        "BF16",
        64,
        true,
        Double.POSITIVE_INFINITY,
        0,
        0,
        1,
        0,
        0,
        Optional.empty(),
        Optional.empty());
  }

  private static List<LayerScore> layers() {
    return List.of(
        new LayerScore(
            2,
            40,
            OptionalDouble.of(39),
            33,
            35,
            Optional.of(new RouterScore(0.9, 0.97, 0.96, OptionalDouble.of(0.95), 0.01, 0.002))),
        new LayerScore(
            1,
            41,
            OptionalDouble.of(40),
            34,
            36,
            Optional.of(new RouterScore(0.95, 0.98, 0.97, OptionalDouble.of(0.96), 0.005, 0.001))),
        new LayerScore(0, 42, OptionalDouble.empty(), 42, 42, Optional.empty()));
  }

  private static List<ExpertUse> experts() {
    List<ExpertUse> uses = new ArrayList<>();
    for (int layer = 1; layer <= 2; layer++) {
      for (int expert = 3; expert >= 0; expert--) {
        boolean dead = layer == 2 && expert == 3;
        uses.add(new ExpertUse(layer, expert, dead ? 0 : 10L * (expert + 1), dead ? 0 : 2.5));
      }
    }
    return uses;
  }

  /// Two sequences, the second before the first; the KL of token `i` is seeded.
  private static TokenScores tokens(int count) {
    Random random = new Random(7);
    int[] sequence = new int[count];
    int[] position = new int[count];
    int[] target = new int[count];
    double[] kl = new double[count];
    double[] forced = new double[count];
    double[] logP = new double[count];
    double[] logQ = new double[count];
    boolean[] same = new boolean[count];
    boolean[] sameForced = new boolean[count];
    double[] eos = new double[count];
    for (int i = 0; i < count; i++) {
      sequence[i] = i < count / 2 ? 1 : 0;
      position[i] = i < count / 2 ? i : i - count / 2;
      target[i] = random.nextInt(1000);
      kl[i] = random.nextDouble() * (sequence[i] + 1);
      forced[i] = kl[i] / 2;
      logP[i] = -random.nextDouble();
      logQ[i] = logP[i] - 0.01;
      same[i] = random.nextInt(10) > 0;
      sameForced[i] = true;
    }
    return new TokenScores(
        sequence, position, target, kl, forced, logP, logQ, same, sameForced, eos);
  }
}
