package smelt.verify.inference;

import java.io.IOException;
import java.util.List;
import java.util.Optional;
import smelt.calibrate.model.Activations;
import smelt.calibrate.model.ReferenceModel;
import smelt.verify.quality.Look;
import smelt.verify.quality.Looks;
import smelt.verify.quality.Verdict;

/// Both models on the text, round by round, until the verdict is certain or the text is used up.
final class Inference {

  /// What to run.
  ///
  /// @param klBound of the mean KL; 0 for none
  record Settings(
      Verification.Request request, VerifyPlan plan, Activations activations, double klBound) {}

  /// How it ended.
  ///
  /// @param look that the verdict is from
  /// @param certainFail why it failed for certain before any look could tell
  record Ended(Comparison comparison, Look look, Verdict verdict, Optional<String> certainFail) {

    /// What a reader should know of the end; empty where it is the only look at all the text.
    Optional<String> note(int sequences) {
      return certainFail.or(
          () -> look.of() == 1 ? Optional.empty() : Optional.of(looked(sequences)));
    }

    private String looked(int sequences) {
      return (comparison.sequences() < sequences
              ? String.format(
                  java.util.Locale.ROOT,
                  "Stopped after %,d of %,d sequences, since every bound holds: look ",
                  comparison.sequences(),
                  sequences)
              : "This is look ")
          + look.number()
          + " of "
          + look.of()
          + ", with limits at "
          + look.level()
          + ". Over all looks together a result beyond a bound passes in 5 % at most.";
    }
  }

  private final Verification.Tools tools;
  private final Verification.Watcher watcher;
  private final ByteProgress progress;
  private final long bytesOfRound;

  /// @param bytesOfRound that both models were announced to read in a round
  Inference(
      Verification.Tools tools,
      Verification.Watcher watcher,
      ByteProgress progress,
      long bytesOfRound) {
    this.tools = tools;
    this.watcher = watcher;
    this.progress = progress;
    this.bytesOfRound = bytesOfRound;
  }

  Ended run(
      Verification.Model source, Verification.Model result, Settings settings, Judging judging)
      throws IOException {
    VerifyPlan plan = settings.plan();
    Verification.Request request = settings.request();
    try (ReferenceModel a = open(source, plan.sourceScratch());
        ReferenceModel b = open(result, plan.resultScratch())) {
      Comparison.Settings how =
          new Comparison.Settings(
              settings.activations(), request.eos(), plan.headRows(), plan.threads());
      Comparison comparison = new Comparison(a, b, how, new Reading(a, b));
      EarlyStop early = new EarlyStop(settings.klBound(), request.sequences(), request.documents());
      for (List<int[]> round : plan.rounds(request.sequences())) {
        progress.begin(bytesOfRound);
        comparison.add(round);
        progress.complete();
        Optional<Ended> ended = ended(comparison, request, plan.looks(), early, judging);
        if (ended.isPresent()) {
          return ended.get();
        }
      }
      throw new IllegalStateException("a plan without a look at the end");
    }
  }

  private static Optional<Ended> ended(
      Comparison comparison,
      Verification.Request request,
      Looks looks,
      EarlyStop early,
      Judging judging) {
    int seen = comparison.sequences();
    boolean all = seen == request.sequences().size();
    Optional<Look> look = looks.after(seen).map(found -> found.in(request.units()));
    if (look.isPresent()) {
      Verdict verdict = judging.verdict(comparison, request.documents(), look.get());
      if (all || verdict.passed()) {
        return Optional.of(new Ended(comparison, look.get(), verdict, Optional.empty()));
      }
    }
    if (!request.earlyStop() || !early.isCertain(comparison)) {
      return Optional.empty();
    }
    Look coming = looks.coming(seen).in(request.units());
    Verdict verdict = early.failing(judging.verdict(comparison, request.documents(), coming));
    return Optional.of(new Ended(comparison, coming, verdict, Optional.of(early.note(seen))));
  }

  private ReferenceModel open(Verification.Model model, long scratch) {
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
      progress.read(read - told);
      told = read;
      watcher.stepDone();
    }

    @Override
    public void check() {
      watcher.check();
    }
  }
}
