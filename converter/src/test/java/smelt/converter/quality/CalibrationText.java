package smelt.converter.quality;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import smelt.calibrate.text.Corpus;
import smelt.calibrate.text.SequenceCut;
import smelt.calibrate.text.SpecialTokens;
import smelt.calibrate.text.TokenSequences;
import smelt.calibrate.text.Tokenizer;
import smelt.formats.Checkout;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// The text that models are calibrated on; none of it is in the text that they are verified on.
final class CalibrationText {

  static final Path FILE = Checkout.root().resolve("samples/corpora/calibration.jsonl");

  private static final int LENGTH = 256;
  private static final long TOKENS = 8192;

  private CalibrationText() {}

  /// Some of it, for a model with a tokenizer.
  static List<int[]> sequences(Path model) throws IOException {
    try (ModelSource source = ModelSources.open(model);
        Tokenizer tokenizer = Tokenizer.open(source);
        Corpus corpus = Corpus.open(List.of(FILE))) {
      Optional<Tokenizer> own = Optional.of(tokenizer);
      return TokenSequences.cut(
              corpus,
              own,
              SpecialTokens.of(source, own),
              Checkpoint.open(source).config().vocabSize(),
              new SequenceCut.Documents(LENGTH, TOKENS))
          .ids();
    }
  }
}
