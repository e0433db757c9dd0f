package smelt.converter.quality;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.calibrate.text.Corpus;
import smelt.calibrate.text.SequenceCut;
import smelt.calibrate.text.SpecialTokens;
import smelt.calibrate.text.TokenSequences;
import smelt.calibrate.text.Tokenizer;
import smelt.formats.Checkout;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.codec.KernelSet;
import smelt.formats.codec.Kernels;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;
import smelt.verify.inference.Verification;
import smelt.verify.inference.VerifyPlan;
import smelt.verify.quality.Profile;
import smelt.verify.quality.QualityReport;

/// A whole verification inside the test's own process, on the held-out text.
record Verifying(int length, long tokens, boolean rounded, Optional<Profile> profile) {

  private static final int THREADS = 2;

  static Verifying on(int length, long tokens) {
    return new Verifying(length, tokens, true, Optional.empty());
  }

  Verifying as(Profile wanted) {
    return new Verifying(length, tokens, rounded, Optional.of(wanted));
  }

  Verifying withoutRounding() {
    return new Verifying(length, tokens, false, profile);
  }

  QualityReport run(Path result, Path model) throws IOException {
    Kernels codec = KernelSet.choose("auto");
    try (Compute compute = Compute.steady(MathKernelSet.choose("auto"), codec, THREADS);
        ModelSource from = ModelSources.open(model);
        ModelSource to = ModelSources.open(result)) {
      Verification.Model source = new Verification.Model(from, Checkpoint.open(from));
      Verification.Model made = new Verification.Model(to, Checkpoint.open(to));
      TokenSequences cut = sequences(from, source.checkpoint());
      List<int[]> sequences = cut.ids();
      VerifyPlan plan =
          VerifyPlan.of(
              new VerifyPlan.Work(
                  source.checkpoint(),
                  made.checkpoint(),
                  sequences.stream().map(ids -> ids.length).toList(),
                  compute,
                  0),
              OptionalLong.empty());
      Verification.Request request =
          new Verification.Request(
              sequences,
              cut.clusters(),
              rounded,
              profile,
              Profile::bounds,
              OptionalInt.of(1),
              true);
      return new Verification(
              source, made, request, plan, new Verification.Tools(codec, compute), () -> {})
          .run(new Verification.About(List.of("heldout.jsonl"), "test", "smelt verify"));
    }
  }

  private TokenSequences sequences(ModelSource model, Checkpoint checkpoint) throws IOException {
    Path text = Checkout.root().resolve("samples/corpora/heldout.jsonl");
    try (Tokenizer tokenizer = Tokenizer.open(model);
        Corpus corpus = Corpus.open(List.of(text))) {
      Optional<Tokenizer> own = Optional.of(tokenizer);
      return TokenSequences.cut(
          corpus,
          own,
          SpecialTokens.of(model, own),
          checkpoint.config().vocabSize(),
          new SequenceCut.Documents(length, tokens));
    }
  }
}
