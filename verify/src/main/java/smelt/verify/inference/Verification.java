package smelt.verify.inference;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.function.Function;
import java.util.function.ToLongFunction;
import java.util.stream.Collectors;
import smelt.calibrate.math.Compute;
import smelt.calibrate.model.Activations;
import smelt.calibrate.model.ModelSpec;
import smelt.calibrate.smooth.Pair;
import smelt.formats.BadInputException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Kernels;
import smelt.formats.source.ModelSource;
import smelt.verify.ServedActivations;
import smelt.verify.quality.Bounds;
import smelt.verify.quality.Look;
import smelt.verify.quality.Metric;
import smelt.verify.quality.ModelChanges;
import smelt.verify.quality.Profile;
import smelt.verify.quality.QualityReport;
import smelt.verify.quality.TensorScore;
import smelt.verify.quality.Units;
import smelt.verify.quality.Verdict;
import smelt.verify.tensors.ComparedModels;
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
  /// @param smoothed pairs between whose weights factors have passed, as its manifest says
  public record Model(
      ModelSource source,
      Checkpoint checkpoint,
      Optional<Activations> rounding,
      ToLongFunction<Weight> stored,
      List<String> changes,
      Set<Pair.Kind> smoothed) {

    public Model {
      changes = List.copyOf(changes);
      smoothed = Set.copyOf(smoothed);
    }

    /// A model that is served as its checkpoint declares.
    public Model(ModelSource source, Checkpoint checkpoint, Set<Pair.Kind> smoothed) {
      this(source, checkpoint, Optional.empty(), Weight::bytes, List.of(), smoothed);
    }

    /// The same without smoothed pairs.
    public Model(ModelSource source, Checkpoint checkpoint) {
      this(source, checkpoint, Set.of());
    }

    /// This one as the result of another.
    public ComparedModels madeFrom(Model origin) {
      return new ComparedModels(origin.checkpoint, origin.source, checkpoint, source, smoothed);
    }

    long bytes() {
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

    /// The same, with this profile where none is named.
    public Request or(Optional<Profile> usual) {
      return profile.isPresent()
          ? this
          : new Request(sequences, documents, rounded, usual, bounds, eos, earlyStop, units);
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

  /// Told of progress, and asked whether to go on. The tensor check is a step too.
  @FunctionalInterface
  public interface Watcher extends Comparison.Watcher {

    /// @param bytes that will be read in all, if nothing stops early
    /// @param steps that will be done in all
    default void starts(long bytes, long steps) {}

    /// More bytes were read.
    default void read(long bytes) {}
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
  /// @throws smelt.formats.UnsupportedException if the result's runtime rounds activations in a way
  ///   that cannot be simulated
  public QualityReport run(About about) throws IOException {
    Activations served = served();
    ReadBytes bytes = ReadBytes.of(source.checkpoint(), result.checkpoint());
    watcher.starts(bytes.all(plan.rounds()), 1 + (long) plan.rounds() * (layers() + 1));
    progress.begin(bytes.compared());
    TensorComparison.Result found = compareTensors();
    List<TensorScore> tensors = found.tensors();
    ModelChanges changes = changes(found);
    Activations activations = activations(served, tensors);
    Judging judging = judging(tensors, changes, activations);
    Optional<Inference.Ended> ended =
        textCanBeRun(tensors) ? Optional.of(infer(activations, judging, bytes)) : Optional.empty();
    return new Reporting(source, result, plan, tools)
        .report(about, activations, judging, ended, request.documents(), notes);
  }

  /// Judges what somebody else has found: every weight compared, and all the text gone along both
  /// paths.
  ///
  /// @param found of these models
  /// @param comparison of these sequences
  /// @param activations that the comparison has rounded with
  public QualityReport conclude(
      About about, TensorComparison.Result found, Comparison comparison, Activations activations)
      throws IOException {
    Judging judging = judging(found.tensors(), changes(found), activations);
    int seen = request.sequences().size();
    if (comparison.sequences() != seen) {
      throw new IllegalStateException(comparison.sequences() + " of " + seen + " sequences");
    }
    Look look = plan.looks().after(seen).orElseThrow().in(request.units());
    Verdict verdict = judging.verdict(comparison, request.documents(), look);
    Untouched.note(comparison.experts()).ifPresent(notes::add);
    return new Reporting(source, result, plan, tools)
        .report(
            about,
            activations,
            judging,
            Optional.of(new Inference.Ended(comparison, look, verdict, Optional.empty())),
            request.documents(),
            notes);
  }

  private Judging judging(
      List<TensorScore> tensors, ModelChanges changes, Activations activations) {
    Profile profile =
        request
            .profile()
            .orElseGet(() -> ProfileChoice.of(result.checkpoint(), tensors, activations));
    Bounds all = request.bounds().apply(profile);
    Bounds bounds = request.sequences().isEmpty() ? all.onlyWeights() : all;
    noteSmoothed();
    return new Judging(profile, bounds, tensors, changes);
  }

  private void noteSmoothed() {
    if (!result.smoothed().isEmpty()) {
      String kinds =
          result.smoothed().stream()
              .sorted()
              .map(Pair.Kind::label)
              .collect(Collectors.joining(", "));
      notes.add(
          "The result is smoothed ("
              + kinds
              + "): its weights were compared with the source's times"
              + " the factors, powers of two, that both models show. What they compute is compared"
              + " with the source as it is.");
    }
  }

  /// How the result's runtime rounds. What cannot be simulated is refused here, before a weight is
  /// read.
  private Activations served() throws IOException {
    if (!request.rounded()) {
      return Activations.NONE;
    }
    Activations served =
        result.rounding().isPresent()
            ? result.rounding().get()
            : ServedActivations.read(result.source(), result.checkpoint());
    result.checkpoint().weights().forEach(served::of);
    return served;
  }

  /// How the comparison rounds: not at all where both sides hold the same numbers.
  private Activations activations(Activations served, List<TensorScore> tensors) {
    boolean lossless =
        request.profile().filter(p -> p != Profile.LOSSLESS).isEmpty()
            && ProfileChoice.isLossless(tensors);
    if (lossless && !served.equals(Activations.NONE)) {
      notes.add(
          "The result has the source's values bit for bit, so it is compared without rounding"
              + " activations: its runtime treats both alike.");
    }
    return lossless ? Activations.NONE : served;
  }

  private boolean textCanBeRun(List<TensorScore> tensors) {
    long broken = tensors.stream().filter(t -> t.nonFinite() > 0).count();
    if (broken > 0 && !request.sequences().isEmpty()) {
      notes.add("No text was run: " + broken + " weights of the result are not finite.");
    }
    return broken == 0 && !request.sequences().isEmpty();
  }

  private int layers() {
    return ModelSpec.of(source.checkpoint()).layerCount();
  }

  private TensorComparison.Result compareTensors() throws IOException {
    TensorComparison.Result found =
        TensorComparison.run(
            result.madeFrom(source),
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
                judging);
    ended.note(request.sequences().size()).ifPresent(notes::add);
    Untouched.note(ended.comparison().experts()).ifPresent(notes::add);
    return ended;
  }
}
