package smelt.verify.inference;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.Function;
import java.util.function.ToLongFunction;
import smelt.calibrate.math.Compute;
import smelt.calibrate.model.Activations;
import smelt.calibrate.model.ModelSpec;
import smelt.formats.BadInputException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Kernels;
import smelt.formats.source.ModelSource;
import smelt.verify.ServedActivations;
import smelt.verify.quality.Bounds;
import smelt.verify.quality.Evidence;
import smelt.verify.quality.Judge;
import smelt.verify.quality.LayerScore;
import smelt.verify.quality.Look;
import smelt.verify.quality.Metric;
import smelt.verify.quality.ModelChanges;
import smelt.verify.quality.Profile;
import smelt.verify.quality.QualityReport;
import smelt.verify.quality.Subject;
import smelt.verify.quality.Summaries;
import smelt.verify.quality.TensorScore;
import smelt.verify.quality.TokenScores;
import smelt.verify.quality.Units;
import smelt.verify.quality.Verdict;
import smelt.verify.tensors.TensorComparison;

/// Verifies a result against its source: every weight decoded, then both models on real text, then
/// the verdict. Reads only what lies on disk.
public final class Verification {

  private static final int FAULTS_NAMED = 20;

  /// A model and where it lies.
  ///
  /// @param rounding how inputs are rounded where it is served; empty: as the checkpoint declares
  /// @param stored bytes of a weight where it lies, which may be fewer than it is read as
  /// @param changes what whoever read a form that is no checkpoint has found to differ from the
  ///   source beside the weights, in words
  public record Model(
      ModelSource source,
      Checkpoint checkpoint,
      Optional<Activations> rounding,
      ToLongFunction<Weight> stored,
      List<String> changes) {

    public Model {
      changes = List.copyOf(changes);
    }

    /// A model that is served as its checkpoint declares.
    public Model(ModelSource source, Checkpoint checkpoint) {
      this(source, checkpoint, Optional.empty(), Weight::bytes, List.of());
    }

    private long bytes() {
      return checkpoint.weights().stream().mapToLong(stored).reduce(0, Math::addExact);
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
  /// @param earlyStop whether to stop between rounds once a fail is certain
  /// @param units what a document is
  public record Request(
      List<int[]> sequences,
      List<Integer> documents,
      boolean rounded,
      Optional<Profile> profile,
      Function<Profile, Bounds> bounds,
      OptionalInt eos,
      boolean earlyStop,
      Units units) {

    public Request {
      sequences = List.copyOf(sequences);
      documents = List.copyOf(documents);
      if (documents.size() != sequences.size()) {
        throw new IllegalArgumentException(
            documents.size() + " documents, " + sequences.size() + " sequences");
      }
    }

    /// With text of documents.
    public Request(
        List<int[]> sequences,
        List<Integer> documents,
        boolean rounded,
        Optional<Profile> profile,
        Function<Profile, Bounds> bounds,
        OptionalInt eos,
        boolean earlyStop) {
      this(sequences, documents, rounded, profile, bounds, eos, earlyStop, Units.DOCUMENTS);
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
  private final ByteProgress progress;
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
    this.progress = new ByteProgress(watcher);
  }

  /// Whether two models can be compared at all.
  ///
  /// @throws BadInputException naming every size in which they differ
  public static void requireComparable(Checkpoint source, Checkpoint result) {
    ComparableModels.require(source, result);
  }

  /// Does it all.
  ///
  /// @throws BadInputException if the models cannot be compared, or the source's own numbers are
  ///   not finite
  public QualityReport run(About about) throws IOException {
    ReadBytes bytes = ReadBytes.of(source.checkpoint(), result.checkpoint());
    watcher.starts(bytes.all(plan.rounds()), 1 + (long) plan.rounds() * (layers() + 1));
    progress.begin(bytes.compared());
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
    Judging judging = new Judging(profile, bounds, tensors.tensors(), changes);
    Optional<Inference.Ended> ended =
        broken > 0 || request.sequences().isEmpty()
            ? Optional.empty()
            : Optional.of(infer(activations, judging, bytes));
    return report(about, activations, judging, ended);
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
              progress.read(bytes);
            });
    progress.complete();
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

  private Inference.Ended infer(Activations activations, Judging judging, ReadBytes bytes)
      throws IOException {
    double klBound = judging.bounds().values().getOrDefault(Metric.MEAN_KL, 0.0);
    Inference.Ended ended =
        new Inference(tools, watcher, progress, bytes.round())
            .run(
                source,
                result,
                new Inference.Settings(request, plan, activations, klBound),
                (comparison, look) ->
                    judging.verdict(
                        Optional.of(scores(comparison)), layers(comparison, look), look));
    ended.note(request.sequences().size()).ifPresent(notes::add);
    Untouched.note(ended.comparison().experts()).ifPresent(notes::add);
    return ended;
  }

  private TokenScores scores(Comparison comparison) {
    return comparison.tokens().of(request.documents());
  }

  private List<LayerScore> layers(Comparison comparison, Look look) {
    return comparison.layers(request.documents(), look.confidence());
  }

  /// What a verdict needs besides the text.
  private record Judging(
      Profile profile, Bounds bounds, List<TensorScore> tensors, ModelChanges changes) {

    Verdict verdict(Optional<TokenScores> tokens, List<LayerScore> layers, Look look) {
      return Judge.judge(profile, bounds, new Evidence(tokens, layers, tensors, changes, look));
    }
  }

  private QualityReport report(
      About about, Activations activations, Judging judging, Optional<Inference.Ended> ended) {
    Optional<Comparison> found = ended.map(Inference.Ended::comparison);
    Optional<TokenScores> tokens = found.map(this::scores);
    Look look = ended.map(Inference.Ended::look).orElse(Look.ONLY);
    notes.addAll(Judge.notes(judging.profile(), judging.bounds(), tokens, look));
    return new QualityReport(
        subject(about, activations, found),
        ended
            .map(Inference.Ended::verdict)
            .orElseGet(() -> judging.verdict(Optional.empty(), List.of(), look)),
        tokens.map(Summaries::of),
        tokens,
        judging.tensors(),
        found.map(comparison -> layers(comparison, look)).orElse(List.of()),
        found.map(Comparison::experts).orElse(List.of()),
        Sizes.byRole(source, result),
        ConfigChanges.of(source.checkpoint().config().tree(), result.checkpoint().config().tree()),
        notes);
  }

  private Subject subject(About about, Activations activations, Optional<Comparison> found) {
    Checkpoint from = source.checkpoint();
    Checkpoint to = result.checkpoint();
    String rounding = ServedActivations.label(activations, to);
    return new Subject(
        from.location(),
        to.location(),
        from.architecture().className(),
        Scheme.of(to, rounding),
        rounding,
        source.bytes(),
        result.bytes(),
        about.corpora(),
        found.map(Comparison::sequences).orElse(0),
        about.version(),
        tools.codec().name() + ", " + plan.threads() + " threads",
        about.command());
  }
}
