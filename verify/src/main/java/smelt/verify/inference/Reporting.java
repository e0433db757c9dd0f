package smelt.verify.inference;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import smelt.calibrate.model.Activations;
import smelt.formats.checkpoint.Checkpoint;
import smelt.verify.ServedActivations;
import smelt.verify.quality.Judge;
import smelt.verify.quality.Look;
import smelt.verify.quality.QualityReport;
import smelt.verify.quality.Subject;
import smelt.verify.quality.Summaries;
import smelt.verify.quality.TokenScores;

/// Joins what was found to a report.
record Reporting(
    Verification.Model source,
    Verification.Model result,
    VerifyPlan plan,
    Verification.Tools tools) {

  /// @param ended how the inference ended; empty where none was made
  /// @param documents for each sequence the number of its document
  /// @param known notes so far
  QualityReport report(
      Verification.About about,
      Activations activations,
      Judging judging,
      Optional<Inference.Ended> ended,
      List<Integer> documents,
      List<String> known) {
    Optional<Comparison> found = ended.map(Inference.Ended::comparison);
    Optional<TokenScores> tokens = found.map(comparison -> comparison.tokens().of(documents));
    Look look = ended.map(Inference.Ended::look).orElse(Look.ONLY);
    List<String> notes = new ArrayList<>(known);
    notes.addAll(Judge.notes(judging.profile(), judging.bounds(), tokens, look));
    return new QualityReport(
        subject(about, activations, found),
        ended.map(Inference.Ended::verdict).orElseGet(() -> judging.withoutText(look)),
        tokens.map(Summaries::of),
        tokens,
        judging.tensors(),
        found.map(comparison -> comparison.layers(documents, look.confidence())).orElse(List.of()),
        found.map(Comparison::experts).orElse(List.of()),
        Sizes.byRole(source, result),
        ConfigChanges.of(source.checkpoint().config().tree(), result.checkpoint().config().tree()),
        notes);
  }

  private Subject subject(
      Verification.About about, Activations activations, Optional<Comparison> found) {
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
