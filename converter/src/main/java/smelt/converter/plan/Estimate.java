package smelt.converter.plan;

import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import smelt.calibrate.cost.CostModel;
import smelt.calibrate.cost.Effort;
import smelt.calibrate.cost.Rates;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.ModelSpec;
import smelt.calibrate.model.ReferenceModel;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;

/// What a plan costs in time and memory on a machine of given rates, with what calibrating and
/// verifying cost on text.
///
/// | job | reads | writes | computes |
/// |---|---|---|---|
/// | `convert` | the plan's source bytes | all output | nothing that counts |
/// | `calibrate` | the source's layers once | nothing that counts | one path without head, and moments where wanted |
/// | `verify` | source and each target twice: weight by weight, and on text | nothing that counts | for each target the source's path and three of the target |
/// | `one pass` | the plan's source bytes | all output | what the two above compute, but the source's path once for all targets |
///
/// Text goes through in one round, and every expert is taken to be read, so fewer tokens than
/// experts read less than is told here. The one pass calibrates with so many tokens and verifies on
/// as many others. What it writes and reads back is taken to come from the system's memory.
///
/// @param layerBytes bytes of the source that a forward pass reads at most
public record Estimate(Rates rates, Text text, CostModel cost, long layerBytes, List<Job> jobs) {

  public Estimate {
    jobs = List.copyOf(jobs);
  }

  /// What goes through the model.
  ///
  /// @param tokens in all
  /// @param length of a sequence
  /// @param moments whether second moments of the experts' inputs are summed, and GPTQ solved
  public record Text(long tokens, int length, boolean moments) {
    public Text {
      if (tokens < 1 || length < 1) {
        throw new IllegalArgumentException(tokens + " tokens in sequences of " + length);
      }
    }
  }

  /// @param memory bytes of hidden states, scratch and moments; 0 where only tiles are in memory
  public record Job(String name, Effort effort, long memory) {}

  /// Scores of the result's path are of the free and the forced run; layers have the local run too.
  private static final int LAYER_PATHS = 3;

  private static final int HEAD_PATHS = 2;

  /// @throws smelt.formats.UnsupportedException for a model that is not computed
  public static Estimate of(Plan plan, Checkpoint checkpoint, Rates rates, Text text) {
    ModelSpec spec = ModelSpec.of(checkpoint);
    CostModel cost = CostModel.of(spec);
    long layers =
        checkpoint.weights().stream()
            .filter(weight -> isRead(weight, spec.layerCount()))
            .mapToLong(Weight::bytes)
            .sum();
    Memory memory = new Memory(checkpoint, spec, text);
    int targets = plan.targets().size();
    double source = (double) plan.sourceBytes();
    double output = (double) plan.outputBytes();
    Effort convert = new Effort(source, output, 0);
    double path = cost.forwardWithoutHead(text.tokens(), text.length());
    double head = (double) cost.head() * text.tokens();
    double moments = text.moments() ? (double) cost.hessians() * text.tokens() + cost.solving() : 0;
    double both = (1.0 + LAYER_PATHS) * path + (1.0 + HEAD_PATHS) * head;
    Effort verify = new Effort(2 * (targets * source + output), 0, targets * both);
    double shared = path + moments + path + head;
    double own = LAYER_PATHS * path + HEAD_PATHS * head;
    Effort once = new Effort(source, output, shared + targets * own);
    return new Estimate(
        rates,
        text,
        cost,
        layers,
        List.of(
            new Job("convert", convert, 0),
            new Job(
                "calibrate",
                new Effort((double) layers, 0, path + moments),
                memory.of(1, moments > 0)),
            new Job("verify", verify, memory.of(1 + LAYER_PATHS, false)),
            new Job("one pass", once, memory.inOnePass(targets, moments > 0))));
  }

  private static boolean isRead(Weight weight, int layers) {
    return weight.role().layer().orElse(0) < layers
        && !(weight.role() instanceof TensorRole.Indexer)
        && !(weight.role() instanceof TensorRole.Mtp);
  }

  /// Tokens above which computing one path takes longer than reading it.
  public double crossover() {
    return CostModel.crossover(layerBytes, (double) cost.products(), rates);
  }

  /// The same with attention's scores in sequences of the text's length.
  public double crossoverWithScores() {
    double perToken = cost.products() + cost.scoresPerToken(text.length());
    return CostModel.crossover(layerBytes, perToken, rates);
  }

  /// For reports.
  public Map<String, Object> json() {
    TreeMap<String, Object> json = new TreeMap<>();
    json.put("read_bytes_per_second", rates.read());
    json.put("write_bytes_per_second", rates.write());
    json.put("flops_per_second", rates.flops());
    json.put("tokens", text.tokens());
    json.put("sequence", text.length());
    json.put("moments", text.moments());
    json.put("flops_per_token", cost.products());
    json.put("score_flops_per_token", cost.scoresPerToken(text.length()));
    json.put("layer_bytes", layerBytes);
    json.put("crossover_tokens", crossover());
    json.put("crossover_tokens_with_scores", crossoverWithScores());
    json.put("jobs", jobs.stream().map(this::json).toList());
    return json;
  }

  private Map<String, Object> json(Job job) {
    TreeMap<String, Object> json = new TreeMap<>();
    json.put("job", job.name());
    json.put("read_seconds", job.effort().readSeconds(rates));
    json.put("write_seconds", job.effort().writeSeconds(rates));
    json.put("compute_seconds", job.effort().computeSeconds(rates));
    json.put("seconds_in_turn", job.effort().inTurn(rates));
    json.put("seconds_together", job.effort().together(rates));
    json.put("memory_bytes", job.memory());
    return json;
  }

  /// What text takes in memory.
  private record Memory(Checkpoint checkpoint, ModelSpec spec, Text text) {

    /// Hidden states of all paths, scratch with which experts are read once for them, and the
    /// moments of a layer's pool and of one expert.
    long of(int paths, boolean moments) {
      long rows = Math.multiplyExact(paths, text.tokens());
      int longest = (int) Math.min(text.tokens(), text.length());
      long scratch = ReferenceModel.thriftyScratch(checkpoint, rows, longest);
      return Matrix.bytes(rows, spec.hidden()) + scratch + (moments ? moments() : 0);
    }

    /// Hidden states of both texts and what is added to them, and of each target's paths; scratch
    /// of the source's path and of each target's.
    long inOnePass(int targets, boolean moments) {
      long rows = Math.multiplyExact(4L + (long) LAYER_PATHS * targets, text.tokens());
      int longest = (int) Math.min(text.tokens(), text.length());
      long scratch = ReferenceModel.thriftyScratch(checkpoint, text.tokens(), longest);
      return Matrix.bytes(rows, spec.hidden())
          + (1 + targets) * scratch
          + (moments ? moments() : 0);
    }

    private long moments() {
      long width = 0;
      for (Weight weight : checkpoint.weights()) {
        if (weight.role() instanceof TensorRole.RoutedExpert) {
          width = Math.max(width, Math.min(weight.shape().dim(0), weight.shape().dim(1)));
        }
      }
      return Matrix.bytes(spec.hidden(), spec.hidden()) + Matrix.bytes(width, width);
    }
  }
}
