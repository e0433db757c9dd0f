package smelt.verify.inference;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import smelt.calibrate.model.Activations;
import smelt.calibrate.model.Forced;
import smelt.calibrate.model.LayerOptions;
import smelt.calibrate.model.ReferenceModel;
import smelt.calibrate.model.Routing;
import smelt.calibrate.model.TokenBatch;
import smelt.formats.BadInputException;
import smelt.verify.quality.ExpertUse;
import smelt.verify.quality.LayerScore;
import smelt.verify.quality.RouterScore;

/// Sums behind one layer, over all rounds.
final class LayerSums {

  /// Bytes that a sequence takes: signal and noise on three paths, tokens and lost mass of routing.
  static final long BYTES_PER_SEQUENCE = 8 * SequenceSums.BYTES_PER_SEQUENCE;

  private final int layer;
  private final SqnrSums local = new SqnrSums();
  private final SqnrSums free = new SqnrSums();
  private final SqnrSums forced = new SqnrSums();
  private final RouterSums router = new RouterSums();
  private final long[] tokensOfExpert;
  private final double[] weightOfExpert;

  /// @param experts routed experts of the layer; 0 where it has none
  LayerSums(int layer, int experts) {
    this.layer = layer;
    tokensOfExpert = new long[experts];
    weightOfExpert = new double[experts];
  }

  /// Takes both paths through the layer and measures.
  void advance(Round round, ReferenceModel source, ReferenceModel result, Activations activations)
      throws IOException {
    round.giveInputToLocal();
    Optional<Routing> chosen = source.layer(layer, round.source(), LayerOptions.PLAIN);
    follow(round, chosen, result, activations);
  }

  /// Takes the result's path through the layer behind the source's, and measures.
  ///
  /// @param round whose local rows hold what the source's had before the layer
  /// @param chosen the experts that the source chose
  void follow(Round round, Optional<Routing> chosen, ReferenceModel result, Activations activations)
      throws IOException {
    TokenBatch batch = round.source();
    int first = round.firstSequence();
    local.addSignal(batch, first, round.sourceHidden(), round.localHidden());
    long tokens = batch.tokens();
    LayerOptions options =
        new LayerOptions(
            activations, chosen.map(routing -> new Forced(tokens, Round.PATHS - 1, routing)));
    Optional<Routing> other = result.layer(layer, round.result(), options);
    free.addSignal(batch, first, round.sourceHidden());
    free.addNoise(batch, first, round.sourceHidden(), round.freeHidden());
    forced.addSignal(batch, first, round.sourceHidden());
    forced.addNoise(batch, first, round.sourceHidden(), round.forcedHidden());
    local.addNoise(batch, first, round.sourceHidden(), round.localHidden());
    requireFinite();

    if (chosen.isPresent()) {
      count(chosen.get());
      compare(batch, first, chosen.get(), other.orElseThrow());
    }
  }

  private void requireFinite() {
    if (!free.signalIsFinite()) {
      throw new BadInputException(
          "the source, layer " + layer,
          "hidden states that are not finite",
          "finite numbers on real text",
          "check the source: 'smelt check' looks at its weights, config.json at its rope and norms");
    }
  }

  private void count(Routing chosen) {
    for (long token = 0; token < chosen.tokens(); token++) {
      for (int rank = 0; rank < chosen.k(); rank++) {
        int expert = chosen.expert(token, rank);
        tokensOfExpert[expert]++;
        weightOfExpert[expert] += chosen.weight(token, rank);
      }
    }
  }

  private void compare(TokenBatch batch, int firstSequence, Routing chosen, Routing other) {
    for (int sequence = 0; sequence < batch.sequences(); sequence++) {
      long first = batch.first(sequence);
      for (long token = first; token < first + batch.length(sequence) - 1; token++) {
        router.add(firstSequence + sequence, chosen, other, token);
      }
    }
  }

  /// @param documents for each sequence so far the number of its document
  /// @param confidence of the limits
  /// @param designEffect of the KL
  LayerScore score(List<Integer> documents, double confidence, double designEffect) {
    Optional<RouterScore> routed =
        tokensOfExpert.length == 0
            ? Optional.empty()
            : Optional.of(router.score(documents, confidence, designEffect));
    return new LayerScore(
        layer, local.db(), local.limitDb(documents, confidence), free.db(), forced.db(), routed);
  }

  List<ExpertUse> experts() {
    List<ExpertUse> uses = new ArrayList<>();
    for (int expert = 0; expert < tokensOfExpert.length; expert++) {
      uses.add(new ExpertUse(layer, expert, tokensOfExpert[expert], weightOfExpert[expert]));
    }
    return uses;
  }
}
