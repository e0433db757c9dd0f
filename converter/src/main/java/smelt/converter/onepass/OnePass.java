package smelt.converter.onepass;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.LayerOptions;
import smelt.calibrate.model.Observer;
import smelt.calibrate.model.ReferenceModel;
import smelt.calibrate.model.Routing;
import smelt.calibrate.model.TokenBatch;
import smelt.calibrate.observe.Coverage;
import smelt.calibrate.observe.LayerObserver;
import smelt.calibrate.observe.Site;
import smelt.converter.run.Conversion;
import smelt.converter.run.StepwiseConversion;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;
import smelt.formats.files.Thorough;
import smelt.verify.inference.Verification;
import smelt.verify.quality.QualityReport;

/// Takes a model from its embedding to its head once. In each layer the source runs part by part;
/// when all tokens have gone through a part, what was seen there is final: the part's weights are
/// converted for all targets, from the bytes that are still in memory, and compared with what was
/// written. Behind the layer every target's own path goes through the layer that it now has on
/// disk.
///
/// The second norm and the router are converted before what reads that norm, since a smoothed norm
/// tells the factors of its readers. What they need was seen when all tokens have gone through the
/// first of these.
///
/// What the model does not run is converted on the way: experts that no token chose at the end of
/// their layer, layers of multi-token prediction at the end of all.
///
/// For one thread.
public final class OnePass implements AutoCloseable {

  /// What goes through the model.
  ///
  /// @param calibration sequences whose numbers are observed; none where nothing is
  /// @param documents for each of these the number of its document, see
  ///   [smelt.calibrate.observe.HeldOut]
  /// @param evaluation sequences that the targets are judged on; none where they are not
  public record Texts(List<int[]> calibration, List<Integer> documents, List<int[]> evaluation) {
    public Texts {
      calibration = List.copyOf(calibration);
      documents = List.copyOf(documents);
      evaluation = List.copyOf(evaluation);
    }

    List<int[]> all() {
      List<int[]> all = new ArrayList<>(calibration);
      all.addAll(evaluation);
      return all;
    }

    long tokens() {
      return all().stream().mapToLong(ids -> ids.length).sum();
    }

    int longest() {
      return all().stream().mapToInt(ids -> ids.length).max().orElse(0);
    }
  }

  /// What was done.
  ///
  /// @param bytesRead of the source's tensors
  /// @param reports by target, of those that were verified
  /// @param coverage what the experts of each layer saw, where inputs were observed
  public record Result(
      Conversion.Result conversion,
      long bytesRead,
      Map<String, QualityReport> reports,
      List<Coverage> coverage) {}

  private final Checkpoint checkpoint;
  private final HeldParts held;
  private final ReferenceModel source;
  private final Texts texts;
  private final Optional<Observation> observation;
  private final StepwiseConversion conversion;
  private final List<FollowedTarget> targets = new ArrayList<>();
  private final List<Coverage> coverage = new ArrayList<>();
  private final Map<Part, List<Weight>> left = new LinkedHashMap<>();
  private final Arena arena = Arena.ofShared();
  private final TokenBatch batch;
  private final Matrix sum;

  /// How inputs are observed.
  ///
  /// @param statistics told of the layer at hand
  record Observation(LayerStatistics statistics, LayerObserver.Options options, Compute compute) {}

  /// @param held the source
  /// @param scratchBytes of the source's model, enough to hold a part of a layer
  OnePass(
      Checkpoint checkpoint,
      HeldParts held,
      Texts texts,
      long scratchBytes,
      Optional<Observation> observation,
      StepwiseConversion conversion,
      Compute compute) {
    this.checkpoint = checkpoint;
    this.held = held;
    this.texts = texts;
    this.observation = observation;
    this.conversion = conversion;
    source = ReferenceModel.open(checkpoint, held, compute, scratchBytes);
    batch = TokenBatch.of(arena, texts.all(), source.spec().hidden());
    sum = Matrix.zeros(arena, batch.tokens(), source.spec().hidden());
    for (Weight weight : checkpoint.weights()) {
      left.computeIfAbsent(Part.of(weight), _ -> new ArrayList<>()).add(weight);
    }
  }

  /// Adds a target that is to be verified on the way. It is closed with this.
  void verify(
      FollowedTarget.Setting setting, Verification.Tools tools, Verification.Watcher watcher)
      throws IOException {
    TokenBatch own = batch.part(texts.calibration().size(), batch.sequences());
    Verification.Model from = new Verification.Model(held, checkpoint);
    targets.add(new FollowedTarget(setting, source, from, own, tools, watcher));
  }

  /// Does it all. The conversion's units all have receipts then.
  Result run() throws IOException {
    int layers = source.spec().layerCount();
    source.embed(batch);
    convert(weights(new TensorRole.Embedding()));
    for (FollowedTarget target : targets) {
      target.embed();
    }
    for (int layer = 0; layer < layers; layer++) {
      conversion.requireGoingOn();
      layer(layer);
    }
    head(layers);
    convertRest();
    held.checkUnchanged();
    Map<String, QualityReport> reports = new LinkedHashMap<>();
    for (FollowedTarget target : targets) {
      reports.put(target.name(), target.report());
    }
    return new Result(conversion.result(), held.bytesRead(), reports, List.copyOf(coverage));
  }

  private void layer(int layer) throws IOException {
    targets.forEach(FollowedTarget::beforeLayer);
    Optional<Routing> chosen;
    try (Watch watch = new Watch(layer)) {
      chosen = source.layerOnce(layer, batch, sum, LayerOptions.observed(watch));
      for (Part part : List.copyOf(left.keySet())) {
        if (Part.layer(part).orElse(-1) == layer) {
          convert(part);
        }
      }
      watch.found.ifPresent(observer -> coverage.add(observer.coverage()));
    }
    long first = batch.first(texts.calibration().size());
    for (FollowedTarget target : targets) {
      target.layer(layer, chosen.map(routing -> routing.from(first)));
    }
  }

  private void head(int layers) throws IOException {
    source.norm(batch);
    convert(weights(new TensorRole.FinalNorm()));
    try (Watch watch = new Watch(layers)) {
      source.showHead(batch.hidden(), watch);
    }
    for (FollowedTarget target : targets) {
      target.head();
    }
  }

  private void convertRest() throws IOException {
    for (Part part : List.copyOf(left.keySet())) {
      convert(part);
    }
  }

  private List<Weight> weights(TensorRole role) {
    return checkpoint.weights().stream().filter(weight -> weight.role().equals(role)).toList();
  }

  /// Converts the parts that some weights are of.
  private void convert(List<Weight> weights) throws IOException {
    for (Part part : weights.stream().map(Part::of).distinct().toList()) {
      convert(part);
    }
  }

  private void convert(Part part) throws IOException {
    List<Weight> weights = left.remove(part);
    if (weights == null) {
      return;
    }
    if (Part.readsSecondNorm(part)) {
      convert(new Part.Rest(Part.layer(part).orElseThrow()));
    }
    conversion.convert(weights);
    for (FollowedTarget target : targets) {
      target.written(weights);
    }
  }

  /// Observes a layer, and converts what is done.
  private final class Watch implements Observer, AutoCloseable {

    private final Optional<LayerObserver> found;
    private final Observer shown;

    Watch(int layer) {
      found =
          observation.map(how ->
              new LayerObserver(
                  source.spec(), layer, how.options(), how.compute(), LayerObserver.Listener.NONE));
      found.ifPresent(observer -> observation.orElseThrow().statistics().begin(observer));
      long tokens = batch.first(texts.calibration().size());
      shown = found.isPresent() ? new FirstTokens(found.get(), tokens) : Observer.NONE;
    }

    @Override
    public void input(List<Weight> weights, Matrix x) throws IOException {
      conversion.requireGoingOn();
      shown.input(weights, x);
    }

    @Override
    public void routed(int layer, Matrix input, long firstToken, Routing routing)
        throws IOException {
      shown.routed(layer, input, firstToken, routing);
    }

    @Override
    public void scored(int layer, long token, float[] scores, Routing routing) throws IOException {
      shown.scored(layer, token, scores, routing);
    }

    @Override
    public int[] further(int layer, int expert) {
      return shown.further(layer, expert);
    }

    @Override
    public void further(Weight down, Matrix x) throws IOException {
      conversion.requireGoingOn();
      shown.further(down, x);
    }

    @Override
    public void done(List<Weight> weights) throws IOException {
      shown.done(weights);
      convert(weights);
      for (Weight weight : weights) {
        Site.of(weight.role(), source.spec().layerCount())
            .filter(site -> !(site instanceof Site.FeedForwardInput))
            .ifPresent(site -> found.ifPresent(observer -> observer.forget(site)));
      }
    }

    @Override
    public void close() {
      observation.ifPresent(how -> how.statistics().end());
      found.ifPresent(LayerObserver::close);
    }
  }

  @Override
  public void close() throws IOException {
    try (arena;
        source) {
      Thorough.forEach(targets, FollowedTarget::close);
    }
  }
}
