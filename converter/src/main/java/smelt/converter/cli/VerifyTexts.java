package smelt.converter.cli;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import smelt.calibrate.model.ModelSpec;
import smelt.calibrate.text.Corpus;
import smelt.calibrate.text.SequenceCut;
import smelt.calibrate.text.SpecialTokens;
import smelt.calibrate.text.TokenSequences;
import smelt.calibrate.text.Tokenizer;
import smelt.formats.BadInputException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;
import smelt.verify.quality.Units;

/// The text that a verification runs on, as token ids of the source's tokenizer.
///
/// @param sequences token ids
/// @param documents for each sequence the number of its document
/// @param units what a document is
/// @param corpora each text file, with its SHA-256
/// @param eos the token that ends a text
/// @param bytes memory that the tokenizer took
record VerifyTexts(
    List<int[]> sequences,
    List<Integer> documents,
    Units units,
    List<String> corpora,
    OptionalInt eos,
    long bytes) {

  private static final String BUILT_IN = "/smelt/corpora/heldout.jsonl";
  private static final int USUAL_LENGTH = 512;

  /// A tokenizer's tables and what is left of reading them, for each byte of its file.
  private static final long TOKENIZER_FACTOR = 12;

  private static final long TOKENIZER_CODE = 24L << 20;

  /// No text, for the tensor check alone.
  static VerifyTexts none() {
    return new VerifyTexts(
        List.of(), List.of(), Units.DOCUMENTS, List.of(), OptionalInt.empty(), 0);
  }

  /// Cuts sequences from the files, or from the built-in text if there are none.
  ///
  /// @param length most ids of a sequence; empty for 512, or what the model can take
  static VerifyTexts cut(
      ModelSource source, Checkpoint checkpoint, List<Path> files, OptionalInt length, long tokens)
      throws IOException {
    if (!files.isEmpty()) {
      return cut(source, checkpoint, files, "", length, tokens);
    }
    if (!Tokenizer.isIn(source)) {
      throw new BadInputException(
          source.location(),
          "no " + Tokenizer.FILE + ", so the built-in text cannot be turned into token ids",
          "the tokenizer beside the weights",
          "copy it from where the model was published, or give --corpus with lines of token ids,"
              + " or --weights-only");
    }
    Path file = Files.createTempFile("smelt-text-", ".jsonl");
    try (InputStream in = VerifyTexts.class.getResourceAsStream(BUILT_IN)) {
      if (in == null) {
        throw new IllegalStateException("the program was built without its text");
      }
      Files.copy(in, file, StandardCopyOption.REPLACE_EXISTING);
      return cut(source, checkpoint, List.of(file), "built-in text", length, tokens);
    } finally {
      Files.deleteIfExists(file);
    }
  }

  private static VerifyTexts cut(
      ModelSource source,
      Checkpoint checkpoint,
      List<Path> files,
      String called,
      OptionalInt length,
      long tokens)
      throws IOException {
    ModelSpec spec = ModelSpec.of(checkpoint);
    Optional<Tokenizer> tokenizer =
        Tokenizer.isIn(source) ? Optional.of(Tokenizer.open(source)) : Optional.empty();
    try (Corpus corpus = Corpus.open(files)) {
      SpecialTokens special = SpecialTokens.of(source, tokenizer);
      TokenSequences cut =
          TokenSequences.cut(
              corpus,
              tokenizer,
              special,
              spec.vocabulary(),
              new SequenceCut.Documents(length.orElse(usualLength(checkpoint, spec)), tokens));
      List<String> corpora = new ArrayList<>();
      cut.digests()
          .forEach((path, digest) ->
              corpora.add((called.isEmpty() ? path : called) + ", SHA-256 " + digest));
      return new VerifyTexts(
          cut.ids(),
          cut.clusters(),
          units(cut),
          corpora,
          special.ends().stream().mapToInt(Integer::intValue).findFirst(),
          tokenizer.isPresent() ? tokenizerBytes(source) : 0);
    } finally {
      tokenizer.ifPresent(Tokenizer::close);
    }
  }

  private static Units units(TokenSequences cut) {
    if (cut.ofPlainText() == 0) {
      return Units.DOCUMENTS;
    }
    return cut.ofPlainText() == cut.ids().size() ? Units.PIECES : Units.BOTH;
  }

  /// Ids of each sequence.
  List<Integer> lengths() {
    return sequences.stream().map(ids -> ids.length).toList();
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
