package smelt.verify.inference;

import java.util.List;
import java.util.Optional;
import smelt.verify.quality.Bounds;
import smelt.verify.quality.Evidence;
import smelt.verify.quality.Judge;
import smelt.verify.quality.LayerScore;
import smelt.verify.quality.Look;
import smelt.verify.quality.ModelChanges;
import smelt.verify.quality.Profile;
import smelt.verify.quality.TensorScore;
import smelt.verify.quality.TokenScores;
import smelt.verify.quality.Verdict;

/// What a verdict needs besides the text.
record Judging(Profile profile, Bounds bounds, List<TensorScore> tensors, ModelChanges changes) {

  /// The verdict on what has been compared so far.
  ///
  /// @param documents for each sequence the number of its document
  Verdict verdict(Comparison comparison, List<Integer> documents, Look look) {
    return verdict(
        Optional.of(comparison.tokens().of(documents)),
        comparison.layers(documents, look.confidence()),
        look);
  }

  /// The verdict without text.
  Verdict withoutText(Look look) {
    return verdict(Optional.empty(), List.of(), look);
  }

  private Verdict verdict(Optional<TokenScores> tokens, List<LayerScore> layers, Look look) {
    return Judge.judge(profile, bounds, new Evidence(tokens, layers, tensors, changes, look));
  }
}
