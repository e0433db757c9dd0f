package smelt.verify.inference;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.Function;
import smelt.calibrate.math.Compute;
import smelt.calibrate.model.Activations;
import smelt.calibrate.model.FeedForward;
import smelt.calibrate.model.ModelSpec;
import smelt.calibrate.model.ReferenceModel;
import smelt.formats.BadInputException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Kernels;
import smelt.formats.source.ModelSource;
import smelt.verify.ServedActivations;
import smelt.verify.quality.Bounds;
import smelt.verify.quality.Evidence;
import smelt.verify.quality.Judge;
import smelt.verify.quality.LayerScore;
import smelt.verify.quality.Metric;
import smelt.verify.quality.ModelChanges;
import smelt.verify.quality.Profile;
import smelt.verify.quality.QualityReport;
import smelt.verify.quality.Subject;
import smelt.verify.quality.Summaries;
import smelt.verify.quality.Summary;
import smelt.verify.quality.TensorScore;
import smelt.verify.quality.TokenScores;
import smelt.verify.quality.Verdict;
import smelt.verify.tensors.TensorComparison;

/// Verifies a result against its source: every weight decoded, then both models on real text, then
/// the verdict. Reads only what lies on disk.
public final class Verification {

  private static final int FAULTS_NAMED = 20;

  /// A model and where it lies.
  ///
  /// @param rounding how inputs are rounded where it is served; empty: as the checkpoint declares
  public record Model(ModelSource source, Checkpoint checkpoint, Optional<Activations> rounding) {

    /// A model that is served as its checkpoint declares.
    public Model(ModelSource source, Checkpoint checkpoint) {
      this(source, checkpoint, Optional.empty());
    }
  }

  /// What is to be found out.
  ///
  /// @param sequences token ids; none for the tensor check alone
  /// @param documents for each sequence the number of its document: those of one document are
  ///   resampled as one
  /// @param rounded whether inputs of linears are rounded as the result's runtime does it
  /// @param profile empty to choose by what the result holds
  /// @param bounds the bounds to hold, given the profile
  /// @param eos the token that ends a text
  /// @param earlyStop whether to stop between rounds once the verdict is certain
  public record Request(
      List<int[]> sequences,
      List<Integer> documents,
      boolean rounded,
      Optional<Profile> profile,
      Function<Profile, Bounds> bounds,
      OptionalInt eos,
      boolean earlyStop) {

    public Request {
      sequences = List.copyOf(sequences);
      documents = List.copyOf(documents);
      if (documents.size() != sequences.size()) {
        throw new IllegalArgumentException(
            documents.size() + " documents, " + sequences.size() + " sequences");
      }
    }
  }

  /// What the report says of the run itself.
  ///
  /// @param corpora each text file, with its SHA-256
  /// @param command what to run to get the same figures
  public record About(List<String> corpora, String version, String command) {}

  /// What to compute with.
  ///
  /// @param compute steady; stays the caller's to close
  public record Tools(Kernels codec, Compute compute) {}

  /// Told of progress, and asked whether to go on.
  public interface Watcher {

    /// @param bytes that will be read in all, if nothing stops early
    /// @param steps that will be done in all
    void starts(long bytes, long steps);

    /// More bytes were read.
    void read(long bytes);

    /// The tensor check, a layer of both models, or their head, is done.
    void stepDone();

    /// Throws what ends the verification, if it is to end now.
    void check();
  }

  private final Model source;
  private final Model result;
  private final Request request;
  private final VerifyPlan plan;
  private final Tools tools;
  private final Watcher watcher;
  private final List<String> notes = new ArrayList<>();

  /// @param plan made for these models and sequences
  public Verification(
      Model source, Model result, Request request, VerifyPlan plan, Tools tools, Watcher watcher) {
    this.source = source;
    this.result = result;
    this.request = request;
    this.plan = plan;
    this.tools = tools;
    this.watcher = watcher;
  }

  /// Whether two models can be compared at all.
  ///
  /// @throws BadInputException naming every size in which they differ
  public static void requireComparable(Checkpoint source, Checkpoint result) {
    ModelSpec a = ModelSpec.of(source);
    ModelSpec b = ModelSpec.of(result);
    if (a.hidden() != b.hidden()
        || a.vocabulary() != b.vocabulary()
        || a.layerCount() != b.layerCount()) {
      throw new BadInputException(
          result.location(),
          sizes(b),
          sizes(a) + ", as in " + source.location(),
          "name the model that this result was converted from");
    }
    for (int layer = 0; layer < a.layerCount(); layer++) {
      String wanted = experts(a.layers().get(layer));
      String found = experts(b.layers().get(layer));
      if (!found.equals(wanted)) {
        throw new BadInputException(
            result.location() + ", layer " + layer,
            found,
            wanted + ", as in " + source.location(),
            "repair the result's config.json, or name the model that it was converted from");
      }
    }
  }

  private static String experts(FeedForward layer) {
    return switch (layer) {
      case FeedForward.Dense _ -> "no experts";
      case FeedForward.Experts e ->
          e.rule().chosen() + " of " + e.rule().experts() + " experts for each token";
    };
  }

  private static String sizes(ModelSpec spec) {
    return "a model of "
        + spec.layerCount()
        + " layers, hidden size "
        + spec.hidden()
        + " and "
        + spec.vocabulary()
        + " token ids";
  }

  /// Does it all.
  ///
  /// @throws BadInputException if the models cannot be compared, or the source's own numbers are
  ///   not finite
  public QualityReport run(About about) throws IOException {
    watcher.starts(bytes(), 1 + (long) plan.rounds() * (layers() + 1));
    TensorComparison.Result tensors = compareTensors();
    ModelChanges changes = changes(tensors);
    Activations served = served();
    boolean lossless =
        request.profile().filter(p -> p != Profile.LOSSLESS).isEmpty()
            && ProfileChoice.isLossless(tensors.tensors());
    Activations activations = lossless ? Activations.NONE : served;
    Profile profile =
        request
            .profile()
            .orElseGet(() -> ProfileChoice.of(result.checkpoint(), tensors.tensors(), activations));
    Bounds all = request.bounds().apply(profile);
    Bounds bounds = request.sequences().isEmpty() ? all.onlyWeights() : all;
    if (lossless && !served.equals(Activations.NONE)) {
      notes.add(
          "The result has the source's values bit for bit, so it is compared without rounding"
              + " activations: its runtime treats both alike.");
    }
    long broken = tensors.tensors().stream().filter(t -> t.nonFinite() > 0).count();
    if (broken > 0 && !request.sequences().isEmpty()) {
      notes.add("No text was run: " + broken + " weights of the result are not finite.");
    }
    Found found = broken > 0 ? new Found(Optional.empty()) : infer(activations, bounds);
    return report(about, tensors.tensors(), changes, activations, profile, bounds, found);
  }

  private Activations served() throws IOException {
    return request.rounded()
        ? (result.rounding().isPresent()
            ? result.rounding().get()
            : ServedActivations.read(result.source(), result.checkpoint()))
        : Activations.NONE;
  }

  private int layers() {
    return ModelSpec.of(source.checkpoint()).layerCount();
  }

  /// Bytes that will be read: both models for the tensor check and once a round.
  private long bytes() {
    long compared = TensorComparison.bytes(source.checkpoint(), result.checkpoint());
    return Math.addExact(compared, Math.multiplyExact(plan.rounds(), roundBytes()));
  }

  private long roundBytes() {
    return Math.addExact(usedBytes(source.checkpoint()), usedBytes(result.checkpoint()));
  }

  /// Bytes of the weights that inference reads: those of MTP layers it does not. Of the embedding
  /// it reads some rows only.
  private static long usedBytes(Checkpoint model) {
    ModelSpec spec = ModelSpec.of(model);
    return model.weights().stream()
        .filter(weight -> weight.role().layer().orElse(0) < spec.layerCount())
        .filter(weight -> spec.tiedHead() || !(weight.role() instanceof TensorRole.Embedding))
        .mapToLong(Weight::bytes)
        .reduce(0, Math::addExact);
  }

  private TensorComparison.Result compareTensors() throws IOException {
    TensorComparison.Result found =
        TensorComparison.run(
            source.checkpoint(),
            source.source(),
            result.checkpoint(),
            result.source(),
            tools.codec(),
            plan.threads(),
            Math.max(plan.tensorBytes(), 1),
            bytes -> {
              watcher.check();
              watcher.read(bytes);
            });
    watcher.stepDone();
    return found;
  }

  private ModelChanges changes(TensorComparison.Result tensors) throws IOException {
    ModelChanges changes = Differences.of(source, result, tensors.missing(), tensors.added());
    notes.addAll(changes.expected());
    List<String> faults = changes.faults();
    if (!faults.isEmpty()) {
      String named = String.join("; ", faults.subList(0, Math.min(FAULTS_NAMED, faults.size())));
      int more = faults.size() - FAULTS_NAMED;
      notes.add(
          "No target makes these changes: " + named + (more > 0 ? "; " + more + " more." : "."));
    }
    return changes;
  }

  /// What inference found; nothing where none was made.
  private record Found(Optional<Comparison> comparison) {}

  private Found infer(Activations activations, Bounds bounds) throws IOException {
    if (request.sequences().isEmpty()) {
      return new Found(Optional.empty());
    }
    try (ReferenceModel a = open(source, plan.sourceScratch());
        ReferenceModel b = open(result, plan.resultScratch())) {
      Comparison.Settings settings =
          new Comparison.Settings(activations, request.eos(), plan.headRows(), plan.threads());
      Comparison comparison = new Comparison(a, b, settings, new Reading(a, b));
      EarlyStop early =
          new EarlyStop(
              bounds.values().getOrDefault(Metric.MEAN_KL, 0.0),
              request.sequences(),
              request.documents());
      List<List<int[]>> rounds = plan.rounds(request.sequences());
      for (int round = 0; round < rounds.size(); round++) {
        comparison.add(rounds.get(round));
        if (request.earlyStop() && round + 1 < rounds.size() && early.isCertain(comparison)) {
          notes.add(early.note(comparison.sequences()));
          break;
        }
      }
      return new Found(Optional.of(comparison));
    }
  }

  private ReferenceModel open(Model model, long scratch) {
    return ReferenceModel.open(model.checkpoint(), model.source(), tools.compute(), scratch);
  }

  /// Tells the watcher of the bytes that both models have read.
  private final class Reading implements Comparison.Watcher {

    private final ReferenceModel a;
    private final ReferenceModel b;
    private long told;

    Reading(ReferenceModel a, ReferenceModel b) {
      this.a = a;
      this.b = b;
    }

    @Override
    public void stepDone() {
      long read = a.bytesRead() + b.bytesRead();
      watcher.read(read - told);
      told = read;
      watcher.stepDone();
    }

    @Override
    public void check() {
      watcher.check();
    }
  }

  private QualityReport report(
      About about,
      List<TensorScore> tensors,
      ModelChanges changes,
      Activations activations,
      Profile profile,
      Bounds bounds,
      Found found) {
    Optional<TokenScores> tokens =
        found.comparison().map(comparison -> comparison.tokens().of(request.documents()));
    Optional<Summary> summary = tokens.map(Summaries::of);
    List<LayerScore> layers = found.comparison().map(Comparison::layers).orElse(List.of());
    Verdict verdict = Judge.judge(profile, bounds, new Evidence(tokens, layers, tensors, changes));
    notes.addAll(Judge.notes(profile, bounds, tokens));
    return new QualityReport(
        subject(about, activations, found),
        verdict,
        summary,
        tokens,
        tensors,
        layers,
        found.comparison().map(Comparison::experts).orElse(List.of()),
        Sizes.byRole(source.checkpoint(), result.checkpoint()),
        ConfigChanges.of(source.checkpoint().config().tree(), result.checkpoint().config().tree()),
        notes);
  }

  private Subject subject(About about, Activations activations, Found found) {
    Checkpoint from = source.checkpoint();
    Checkpoint to = result.checkpoint();
    String rounding = ServedActivations.label(activations, to);
    return new Subject(
        from.location(),
        to.location(),
        from.architecture().className(),
        Scheme.of(to, rounding),
        rounding,
        from.tensorBytes(),
        to.tensorBytes(),
        about.corpora(),
        found.comparison().map(Comparison::sequences).orElse(0),
        about.version(),
        tools.codec().name() + ", " + plan.threads() + " threads",
        about.command());
  }
}
