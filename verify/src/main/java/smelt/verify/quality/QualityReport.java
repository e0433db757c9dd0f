package smelt.verify.quality;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/// All that a verification found.
///
/// @param summary empty when no inference was made (`--weights-only`)
/// @param tokens the scores that the summary is of
/// @param tensors every written weight, in the checkpoint's order
/// @param layers in order; empty when no inference was made
/// @param experts use of routed experts on the source's path, by layer and expert
/// @param sizes bytes by role before and after
/// @param configChanges from key of `config.json` to `before -> after`
/// @param notes what a reader should know, as sentences
public record QualityReport(
    Subject subject,
    Verdict verdict,
    Optional<Summary> summary,
    Optional<TokenScores> tokens,
    List<TensorScore> tensors,
    List<LayerScore> layers,
    List<ExpertUse> experts,
    List<RoleSize> sizes,
    Map<String, String> configChanges,
    List<String> notes) {

  public QualityReport {
    tensors = List.copyOf(tensors);
    layers = List.copyOf(layers);
    experts = List.copyOf(experts);
    sizes = List.copyOf(sizes);
    configChanges = java.util.Collections.unmodifiableMap(new TreeMap<>(configChanges));
    notes = List.copyOf(notes);
  }
}
