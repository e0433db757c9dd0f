package smelt.converter.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import smelt.calibrate.model.ModelSpec;
import smelt.calibrate.observe.TableIndex;
import smelt.calibrate.pass.Calibration;
import smelt.calibrate.text.Corpus;
import smelt.calibrate.text.SequenceCut;
import smelt.calibrate.text.SpecialTokens;
import smelt.calibrate.text.TokenSequences;
import smelt.calibrate.text.Tokenizer;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;

/// The text that a calibration runs on, as token ids of the model's tokenizer. Files are named
/// without their folders, so that the table does not depend on where they lie.
///
/// @param bytes memory that the tokenizer took
record CalibrateTexts(Calibration.Text text, long bytes) {

  private static final int USUAL_LENGTH = 512;

  /// A tokenizer's tables and what is left of reading them, for each byte of its file.
  private static final long TOKENIZER_FACTOR = 12;

  private static final long TOKENIZER_CODE = 24L << 20;

  /// Cuts sequences from the files.
  ///
  /// @param wanted most ids of a sequence; empty for 512, or what the model can take
  static CalibrateTexts cut(
      Calibration.Model model, List<Path> files, OptionalInt wanted, long tokens)
      throws IOException {
    ModelSource source = model.source();
    ModelSpec spec = ModelSpec.of(model.checkpoint());
    int length = wanted.orElse(usualLength(model.checkpoint(), spec));
    Optional<Tokenizer> tokenizer =
        Tokenizer.isIn(source) ? Optional.of(Tokenizer.open(source)) : Optional.empty();
    try (Corpus corpus = Corpus.open(files)) {
      TokenSequences cut =
          TokenSequences.cut(
              corpus,
              tokenizer,
              SpecialTokens.of(source, tokenizer),
              spec.vocabulary(),
              new SequenceCut.Documents(length, tokens));
      List<TableIndex.CorpusFile> named = new ArrayList<>();
      cut.digests()
          .forEach((path, digest) ->
              named.add(new TableIndex.CorpusFile(path.getFileName().toString(), digest)));
      return new CalibrateTexts(
          new Calibration.Text(cut.ids(), cut.clusters(), named, length),
          tokenizer.isPresent() ? tokenizerBytes(source) : 0);
    } finally {
      tokenizer.ifPresent(Tokenizer::close);
    }
  }

  private static int usualLength(Checkpoint checkpoint, ModelSpec spec) {
    int most =
        checkpoint.config().optionalInt("max_position_embeddings", 2, 1 << 30).orElse(USUAL_LENGTH);
    return Math.min(Math.min(USUAL_LENGTH, most), spec.contextLimit().orElse(USUAL_LENGTH));
  }

  private static long tokenizerBytes(ModelSource source) throws IOException {
    try (ByteSource file = source.open(Tokenizer.FILE)) {
      return TOKENIZER_CODE + TOKENIZER_FACTOR * file.size();
    }
  }
}
