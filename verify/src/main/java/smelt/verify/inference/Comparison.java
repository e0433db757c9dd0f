package smelt.verify.inference;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.stream.IntStream;
import smelt.calibrate.model.Activations;
import smelt.calibrate.model.FeedForward;
import smelt.calibrate.model.LayerOptions;
import smelt.calibrate.model.ReferenceModel;
import smelt.calibrate.model.Routing;
import smelt.calibrate.model.TokenBatch;
import smelt.verify.quality.ExpertUse;
import smelt.verify.quality.LayerScore;
import smelt.verify.quality.TokenScores;
import smelt.verify.stats.ClusteredMean;
import smelt.verify.stats.Limits;
import smelt.verify.stats.Sequences;

/// The source's path and the result's path through the reference model, in one pass: both advance
/// layer by layer, and what differs is measured behind each layer and at the end.
///
/// The source's batch holds `S` tokens. The result's batch holds them three times:
///
/// | rows | what they are |
/// |---|---|
/// | `0 .. S` | free: the result by itself |
/// | `S .. 2S` | forced: as free, but each token goes to the experts that the source chose |
/// | `2S .. 3S` | local: as forced, but before each layer they are set to what the source's path has there, so that behind it they show the error of that layer's own arithmetic |
///
/// Text comes in rounds, as many sequences at a time as memory allows; each round reads both models
/// once. Figures are over all rounds so far.
///
/// Used by one thread; a round works with the threads of the models.
public final class Comparison {

  /// Told of progress, and asked whether to go on.
  @FunctionalInterface
  public interface Watcher {

    /// A layer of both models, or their head, is done.
    default void stepDone() {}

    /// Throws what ends the comparison, if it is to end now.
    void check();
  }

  /// How to compare.
  ///
  /// @param activations how the result's runtime rounds inputs of linears
  /// @param eos the token that ends a text
  /// @param headRows rows of the vocabulary whose logits are in memory at once
  /// @param threads for the sums over the vocabulary
  public record Settings(Activations activations, OptionalInt eos, int headRows, int threads) {

    /// The result's options without forced experts.
    LayerOptions free() {
      return new LayerOptions(activations, Optional.empty());
    }
  }

  private final ReferenceModel source;
  private final ReferenceModel result;
  private final Settings settings;
  private final Watcher watcher;
  private final List<LayerSums> layers = new ArrayList<>();
  private final List<TokenScores> rounds = new ArrayList<>();
  private int sequences;

  /// @param source stays the caller's to close, as does `result`
  public Comparison(
      ReferenceModel source, ReferenceModel result, Settings settings, Watcher watcher) {
    this.source = source;
    this.result = result;
    this.settings = settings;
    this.watcher = watcher;
    for (int layer = 0; layer < source.spec().layerCount(); layer++) {
      layers.add(new LayerSums(layer, experts(source.spec().layers().get(layer))));
    }
  }

  private static int experts(FeedForward layer) {
    return switch (layer) {
      case FeedForward.Dense _ -> 0;
      case FeedForward.Experts e -> e.rule().experts();
    };
  }

  /// Compares on more text.
  ///
  /// @param texts token ids of each sequence, at least two of each
  /// @throws smelt.formats.BadInputException if the source's own numbers are not finite
  public void add(List<int[]> texts) throws IOException {
    try (Round round = Round.of(texts, source.spec().hidden(), sequences)) {
      watcher.check();
      source.embed(round.source());
      result.embed(round.result());
      for (LayerSums layer : layers) {
        watcher.check();
        layer.advance(round, source, result, settings.activations());
        watcher.stepDone();
      }
      watcher.check();
      source.norm(round.source());
      finish(round);
    }
  }

  /// Ends a round whose source is behind its final norm.
  private void finish(Round round) throws IOException {
    result.norm(round.result());
    rounds.add(new Head(source, result, settings, watcher).scores(round, sequences));
    watcher.stepDone();
    sequences += round.source().sequences();
  }

  /// A round in which somebody else takes the source's path, for several results at once perhaps.
  /// The calls: `embed`; for each layer `beforeLayer`, then the source goes through the layer, then
  /// `layer`; and `head` when the source is behind its final norm. Of the result nothing is read
  /// that the step does not need, so it may be written on the way.
  public final class Following implements AutoCloseable {

    private final Round round;

    private Following(TokenBatch source, List<int[]> texts) {
      round = Round.beside(source, texts, Comparison.this.source.spec().hidden(), sequences);
    }

    /// Begins the result's path.
    public void embed() throws IOException {
      result.embed(round.result());
    }

    /// Notes what the source's path has before the next layer.
    public void beforeLayer() {
      round.giveInputToLocal();
    }

    /// Takes the result's path through a layer that the source has left behind, and measures.
    ///
    /// @param chosen the experts that the source chose for the texts
    public void layer(int layer, Optional<Routing> chosen) throws IOException {
      watcher.check();
      layers.get(layer).follow(round, chosen, result, settings.activations());
      watcher.stepDone();
    }

    /// Ends both paths.
    public void head() throws IOException {
      watcher.check();
      finish(round);
    }

    @Override
    public void close() {
      round.close();
    }
  }

  /// Begins a round of which only the result's path is this comparison's.
  ///
  /// @param batch the source's hidden states of the texts; somebody else changes it
  /// @param texts token ids of each sequence, at least two of each
  public Following follow(TokenBatch batch, List<int[]> texts) {
    return new Following(batch, texts);
  }

  /// Sequences compared so far.
  public int sequences() {
    return sequences;
  }

  /// The scores of all tokens so far.
  public TokenScores tokens() {
    return Columns.join(rounds);
  }

  /// The scores of all layers so far, in order, with limits at 95 % that take each sequence for a
  /// document of its own.
  public List<LayerScore> layers() {
    return layers(IntStream.range(0, sequences).boxed().toList(), Limits.CONFIDENCE);
  }

  /// The scores of all layers so far, in order.
  ///
  /// @param documents for each sequence the number of its document, of those so far at least
  /// @param confidence of the layers' limits
  public List<LayerScore> layers(List<Integer> documents, double confidence) {
    List<Integer> seen = documents.subList(0, sequences);
    TokenScores scores = tokens().of(seen);
    double effect = ClusteredMean.of(new Sequences(scores.document()), scores.kl()).designEffect();
    double known = Double.isFinite(effect) ? effect : 1;
    return layers.stream().map(layer -> layer.score(seen, confidence, known)).toList();
  }

  /// The use of all experts so far, by layer and expert.
  public List<ExpertUse> experts() {
    return layers.stream().flatMap(layer -> layer.experts().stream()).toList();
  }
}
