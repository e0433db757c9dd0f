package smelt.verify.report;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.Random;
import java.util.TreeMap;
import smelt.formats.checkpoint.Projection;
import smelt.verify.quality.Distribution;
import smelt.verify.quality.ExpertUse;
import smelt.verify.quality.Gate;
import smelt.verify.quality.LayerScore;
import smelt.verify.quality.Metric;
import smelt.verify.quality.QualityReport;
import smelt.verify.quality.RoleSize;
import smelt.verify.quality.RouterScore;
import smelt.verify.quality.Subject;
import smelt.verify.quality.Summary;
import smelt.verify.quality.TensorScore;
import smelt.verify.quality.TokenScores;
import smelt.verify.quality.Verdict;

/// Reports as they look for models of several shapes; figures are drawn with a fixed seed.
final class Fixtures {

  private static final List<String> ATTENTION = List.of("q_a", "q_b", "kv_a", "kv_b", "o");

  /// @param dense first layers without experts
  record Shape(int layers, int dense, int experts, int tokens, double meanDb) {}

  /// DeepSeek-V3: 45,000 weights, 4,096 tokens.
  static final Shape V3 = new Shape(61, 3, 256, 4096, 39);

  static final Shape SMALL = new Shape(4, 1, 8, 700, 41);
  static final Shape DENSE = new Shape(3, 3, 0, 300, 41);

  private final Random random = new Random(20);
  private final Shape shape;

  private Fixtures(Shape shape) {
    this.shape = shape;
  }

  static QualityReport passing(Shape shape) {
    return new Fixtures(shape).report(false, gate(Metric.WEIGHT_SQNR, 25, 28.3, Gate.Outcome.PASS));
  }

  /// With one weight far off.
  static QualityReport failing(Shape shape) {
    Gate weight =
        new Gate(
            Metric.WEIGHT_SQNR,
            25,
            6.02,
            OptionalDouble.empty(),
            Gate.Outcome.FAIL,
            "model.layers.2.mlp.experts.5.down_proj.weight");
    return new Fixtures(shape).report(true, weight);
  }

  /// No inference was made, and everything is bit-exact.
  static QualityReport lossless() {
    Fixtures fixtures = new Fixtures(SMALL);
    List<TensorScore> tensors =
        fixtures.tensors(false).stream().map(score -> exact(score)).toList();
    List<Gate> gates =
        List.of(
            gate(Metric.BIT_EXACT, 1, 1, Gate.Outcome.PASS),
            gate(Metric.NON_FINITE, 0, 0, Gate.Outcome.PASS));
    return new QualityReport(
        fixtures.subject(),
        new Verdict("lossless", gates, List.of(), List.of()),
        Optional.empty(),
        Optional.empty(),
        tensors,
        List.of(),
        List.of(),
        fixtures.sizes(),
        Map.of(),
        List.of("No inference was made."));
  }

  /// Nothing but numbers that are none.
  static QualityReport broken() {
    QualityReport good = passing(SMALL);
    double nan = Double.NaN;
    Distribution none = new Distribution(nan, nan, nan, nan, new TreeMap<>(Map.of(50.0, nan)));
    Summary summary = new Summary(700, none, none, nan, nan, none, none, nan, nan, nan, nan, nan);
    double[] nans = new double[700];
    java.util.Arrays.fill(nans, nan);
    TokenScores scores = good.tokens().orElseThrow();
    TokenScores tokens =
        new TokenScores(
            scores.sequence(),
            scores.position(),
            scores.target(),
            nans,
            nans,
            nans,
            nans,
            scores.sameTop(),
            scores.sameTopForced(),
            nans);
    List<LayerScore> layers =
        List.of(
            new LayerScore(
                0, nan, OptionalDouble.empty(), Double.POSITIVE_INFINITY, nan, Optional.empty()),
            new LayerScore(
                1,
                nan,
                OptionalDouble.of(nan),
                nan,
                nan,
                Optional.of(new RouterScore(nan, nan, nan, OptionalDouble.of(nan), nan, nan))));
    List<TensorScore> tensors =
        good.tensors().stream().map(score -> scored(score, score.tensor(), nan, nan, 7)).toList();
    List<Gate> gates = new ArrayList<>();
    for (Metric metric : Metric.values()) {
      gates.add(new Gate(metric, 1, nan, OptionalDouble.of(nan), Gate.Outcome.FAIL, ""));
    }
    return new QualityReport(
        good.subject(),
        new Verdict("w8a8", gates, List.of(), List.of(1)),
        Optional.of(summary),
        Optional.of(tokens),
        tensors,
        layers,
        List.of(new ExpertUse(1, 0, 0, nan)),
        good.sizes(),
        Map.of(),
        List.of());
  }

  /// With that text wherever a model or a user can put one.
  static QualityReport saying(String text) {
    QualityReport good = failing(SMALL);
    Subject subject =
        new Subject(text, text, text, text, text, 10, 5, List.of(text), 3, text, text, text);
    List<TensorScore> tensors =
        good.tensors().stream()
            .map(score -> scored(score, text + score.tensor(), score.sqnrDb(), 1, 0))
            .toList();
    Gate gate =
        new Gate(Metric.MEAN_KL, 0.02, 0.1, OptionalDouble.of(0.2), Gate.Outcome.FAIL, text);
    Gate skipped =
        new Gate(Metric.KL_999, 1, 0, OptionalDouble.empty(), Gate.Outcome.SKIPPED, text);
    return new QualityReport(
        subject,
        new Verdict(text, List.of(gate, skipped), List.of(tensors.get(3).tensor()), List.of()),
        good.summary(),
        good.tokens(),
        tensors,
        good.layers(),
        good.experts(),
        List.of(new RoleSize(text, 10, 20, 10)),
        Map.of(text, text + " -> " + text),
        List.of(text));
  }

  private QualityReport report(boolean fault, Gate weight) {
    TokenScores tokens = tokens();
    List<TensorScore> tensors = tensors(fault);
    List<Gate> gates =
        List.of(
            gate(Metric.MEAN_KL, 0.02, 0.00912, 0.0108),
            gate(Metric.KL_999, 1, 0.412, 0.633),
            gate(Metric.SAME_TOP, 0.94, 0.9651, 0.9588),
            gate(Metric.PPL_RATIO, 1.01, 1.00214, 1.0061),
            weight,
            gate(Metric.LAYER_SQNR, 20, 27.9, Gate.Outcome.PASS),
            gate(Metric.ROUTED_MASS, 0.9, 0.9534, 0.9471),
            gate(Metric.NON_FINITE, 0, 0, Gate.Outcome.PASS));
    List<String> worst =
        tensors.stream().sorted(Weights.BY_SQNR).limit(12).map(TensorScore::tensor).toList();
    return new QualityReport(
        subject(),
        new Verdict("w8a8", gates, worst, List.of(shape.layers() - 1, shape.layers() - 2)),
        Optional.of(summary(tokens)),
        Optional.of(tokens),
        tensors,
        layers(),
        experts(),
        sizes(),
        Map.of(
            "quantization_config.quant_method", "fp8 -> w8a8_int8",
            "quantization_config.weight_block_size", "[128, 128] -> absent",
            "torch_dtype", "bfloat16 -> bfloat16 (weights INT8)"),
        List.of(
            "MTP layer 61 is compared by its weights only: the reference model does not run it.",
            "The corpus was held out from calibration."));
  }

  private Subject subject() {
    return new Subject(
        "deepseek-ai/DeepSeek-V3",
        "out/DeepSeek-V3-int8-channel",
        "DeepseekV3ForCausalLM",
        "INT8 per channel, INT8 per token",
        "INT8 per token, dynamic",
        688_586_727_753L,
        671_900_431_360L,
        List.of("samples/corpora/heldout.jsonl sha256:" + "3f9a".repeat(16)),
        32,
        "0.1.0",
        "vector 512 bit, 2 threads",
        "smelt verify out/DeepSeek-V3-int8-channel --against deepseek-ai/DeepSeek-V3"
            + " --corpus samples/corpora/heldout.jsonl --bounds w8a8 --memory 8G");
  }

  private TokenScores tokens() {
    int n = shape.tokens();
    int[] sequence = new int[n];
    int[] position = new int[n];
    int[] target = new int[n];
    double[][] columns = new double[5][n];
    boolean[] same = new boolean[n];
    boolean[] sameForced = new boolean[n];
    for (int i = 0; i < n; i++) {
      sequence[i] = i / 128;
      position[i] = i % 128 + 1;
      target[i] = random.nextInt(129_280);
      columns[1][i] = Math.exp(-6.4 + 1.5 * random.nextGaussian());
      double flip = random.nextInt(4) == 0 ? Math.exp(-4.7 + random.nextGaussian()) : 0;
      columns[0][i] = columns[1][i] + flip;
      columns[2][i] = -Math.abs(2.2 * random.nextGaussian());
      double shift = Math.sqrt(2 * columns[0][i]) * random.nextGaussian();
      columns[3][i] = Math.min(columns[2][i] - 0.002 + shift, -1e-4);
      columns[4][i] = 0.01 * random.nextGaussian();
      same[i] = random.nextDouble() > 0.035;
      sameForced[i] = random.nextDouble() > 0.02;
    }
    return new TokenScores(
        sequence,
        position,
        target,
        columns[0],
        columns[1],
        columns[2],
        columns[3],
        same,
        sameForced,
        columns[4]);
  }

  private static Summary summary(TokenScores tokens) {
    Distribution free = distribution(tokens.kl());
    double[] ratio = new double[tokens.size()];
    double[] delta = new double[tokens.size()];
    for (int i = 0; i < ratio.length; i++) {
      ratio[i] = tokens.logP()[i] - tokens.logQ()[i];
      delta[i] = Math.exp(tokens.logQ()[i]) - Math.exp(tokens.logP()[i]);
    }
    return new Summary(
        tokens.size(),
        free,
        distribution(tokens.forcedKl()),
        5.8123,
        5.8247,
        distribution(ratio),
        distribution(delta),
        0.0213,
        0.9651,
        0.9798,
        0.0012,
        2.31);
  }

  private static Distribution distribution(double[] values) {
    double[] sorted = values.clone();
    java.util.Arrays.sort(sorted);
    double mean = java.util.Arrays.stream(values).average().orElse(0);
    TreeMap<Double, Double> percentiles = new TreeMap<>();
    for (double percent : new double[] {1, 5, 10, 50, 90, 95, 99, 99.9}) {
      int rank = (int) Math.ceil(percent / 100 * sorted.length) - 1;
      percentiles.put(percent, sorted[Math.max(rank, 0)]);
    }
    double least = sorted[0];
    double most = sorted[sorted.length - 1];
    return new Distribution(mean, Math.abs(mean) / 14, least, most, percentiles);
  }

  private List<TensorScore> tensors(boolean fault) {
    List<TensorScore> scores = new ArrayList<>();
    scores.add(tensor("model.embed_tokens.weight", "embedding", -1, -1, null, true));
    for (int layer = 0; layer < shape.layers(); layer++) {
      String at = "model.layers." + layer + ".";
      for (String part : ATTENTION) {
        String name = at + "self_attn." + part + "_proj.weight";
        scores.add(tensor(name, "attention." + part, layer, -1, null, false));
      }
      scores.add(tensor(at + "input_layernorm.weight", "norm", layer, -1, null, true));
      if (layer < shape.dense()) {
        feedForward(scores, at + "mlp.", "dense_mlp", layer, -1);
      } else {
        scores.add(tensor(at + "mlp.gate.weight", "router", layer, -1, null, true));
        String bias = at + "mlp.gate.e_score_correction_bias";
        scores.add(tensor(bias, "router_bias", layer, -1, null, true));
        feedForward(scores, at + "mlp.shared_experts.", "shared_expert", layer, -1);
        for (int expert = 0; expert < shape.experts(); expert++) {
          feedForward(scores, at + "mlp.experts." + expert + ".", "routed_expert", layer, expert);
        }
      }
    }
    scores.add(tensor("lm_head.weight", "head", -1, -1, null, true));
    if (fault) {
      int at = Math.min(scores.size() - 2, 70);
      TensorScore score = scores.get(at);
      scores.set(at, scored(score, score.tensor(), 6.02, 0.5, 0));
    }
    return scores;
  }

  private void feedForward(
      List<TensorScore> scores, String prefix, String role, int layer, int expert) {
    for (Projection projection : Projection.values()) {
      String part = projection.name().toLowerCase(Locale.ROOT) + "_proj.weight";
      scores.add(tensor(prefix + part, role, layer, expert, projection, false));
    }
  }

  private TensorScore tensor(
      String name, String role, int layer, int expert, Projection projection, boolean exact) {
    double lower = role.endsWith("o") || projection == Projection.DOWN ? 4 : 0;
    double late = layer > 0.9 * shape.layers() ? 2.5 : 0;
    double db = shape.meanDb() - lower - late + 1.1 * random.nextGaussian();
    double sqnr = exact ? Double.POSITIVE_INFINITY : db;
    return new TensorScore(
        name,
        role,
        layer < 0 ? OptionalInt.empty() : OptionalInt.of(layer),
        expert < 0 ? OptionalInt.empty() : OptionalInt.of(expert),
        Optional.ofNullable(projection),
        exact ? "BF16" : "F8_E4M3 block 128x128",
        exact ? "BF16" : "INT8 per channel",
        7168L * 2048,
        exact,
        sqnr,
        exact ? 0 : 0.0021,
        exact ? 0 : Math.pow(10, -db / 20),
        exact ? 1 : 1 - Math.pow(10, -db / 10) / 2,
        0,
        exact ? 0 : 0.0004,
        exact ? Optional.empty() : Optional.of(0.00012),
        exact ? Optional.empty() : Optional.of(0.0031));
  }

  private List<LayerScore> layers() {
    List<LayerScore> layers = new ArrayList<>();
    for (int layer = 0; layer < shape.layers(); layer++) {
      double depth = Math.log1p(layer);
      double local = 38 - 1.4 * depth + random.nextGaussian();
      Optional<RouterScore> router =
          layer < shape.dense()
              ? Optional.empty()
              : Optional.of(
                  new RouterScore(
                      0.93 - 0.03 * depth + 0.01 * random.nextGaussian(),
                      0.988 - 0.004 * depth,
                      0.992 - 0.007 * depth + 0.002 * random.nextGaussian(),
                      OptionalDouble.of(0.986 - 0.007 * depth),
                      0.003 * depth,
                      0.0002 * depth));
      OptionalDouble limit = OptionalDouble.of(local - 0.4);
      layers.add(new LayerScore(layer, local, limit, 34 - 3.1 * depth, 35 - 2.4 * depth, router));
    }
    return layers;
  }

  private List<ExpertUse> experts() {
    List<ExpertUse> uses = new ArrayList<>();
    for (int layer = shape.dense(); layer < shape.layers(); layer++) {
      for (int expert = 0; expert < shape.experts(); expert++) {
        double mean = 8.0 * shape.tokens() / shape.experts();
        long tokens = Math.round(mean * Math.exp(1.3 * random.nextGaussian() - 0.7));
        tokens = random.nextInt(150) == 0 ? 0 : tokens;
        uses.add(new ExpertUse(layer, expert, tokens, tokens * 0.31));
      }
    }
    return uses;
  }

  private List<RoleSize> sizes() {
    return List.of(
        new RoleSize("routed_expert", 653_900_000_000L, 654_060_000_000L, 654_200_000_000L),
        new RoleSize("attention.o", 7_160_000_000L, 7_160_000_000L, 7_163_000_000L),
        new RoleSize("attention.kv_b", 1_020_000_000L, 1_020_000_000L, 2_040_000_000L),
        new RoleSize("shared_expert", 2_550_000_000L, 2_551_000_000L, 2_552_000_000L),
        new RoleSize("embedding", 926_000_000L, 1_853_000_000L, 1_853_000_000L),
        new RoleSize("norm", 1_000_000L, 2_000_000L, 2_000_000L));
  }

  private static Gate gate(Metric metric, double bound, double value, double limit) {
    return new Gate(metric, bound, value, OptionalDouble.of(limit), Gate.Outcome.PASS, "");
  }

  private static Gate gate(Metric metric, double bound, double value, Gate.Outcome outcome) {
    return new Gate(metric, bound, value, OptionalDouble.empty(), outcome, "");
  }

  private static TensorScore exact(TensorScore score) {
    return scored(score, score.tensor(), Double.POSITIVE_INFINITY, 0, 0);
  }

  private static TensorScore scored(
      TensorScore score, String tensor, double sqnr, double relative, long nonFinite) {
    return new TensorScore(
        tensor,
        score.role(),
        score.layer(),
        score.expert(),
        score.projection(),
        score.from(),
        score.to(),
        score.elements(),
        sqnr == Double.POSITIVE_INFINITY,
        sqnr,
        relative,
        relative,
        1 - relative,
        nonFinite,
        score.clippedShare(),
        score.scaleMin(),
        score.scaleMax());
  }
}
