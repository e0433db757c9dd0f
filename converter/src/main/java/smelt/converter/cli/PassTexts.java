package smelt.converter.cli;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import smelt.converter.onepass.OnePass;
import smelt.formats.BadInputException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.files.Sha256;
import smelt.formats.source.ModelSource;

/// The texts of one pass: what is calibrated with, and what the targets are judged on.
///
/// @param calibration none where nothing is calibrated
/// @param evaluation none where nothing is judged
record PassTexts(VerifyTexts calibration, VerifyTexts evaluation) {

  /// Cuts both.
  ///
  /// @throws BadInputException if a sequence is in both
  static PassTexts cut(ModelSource source, Checkpoint checkpoint, OnePassOptions options)
      throws IOException {
    VerifyTexts calibration =
        options.corpus().isEmpty()
            ? VerifyTexts.none()
            : VerifyTexts.cut(
                source, checkpoint, options.corpus(), options.length(), options.tokens());
    VerifyTexts evaluation =
        options.verify()
            ? VerifyTexts.cut(
                source, checkpoint, options.eval(), options.length(), options.evalTokens())
            : VerifyTexts.none();
    PassTexts texts = new PassTexts(calibration, evaluation);
    texts.requireDisjoint();
    return texts;
  }

  private void requireDisjoint() {
    Set<String> seen =
        calibration.sequences().stream().map(Arrays::toString).collect(Collectors.toSet());
    Set<String> both = new HashSet<>();
    evaluation.sequences().stream().map(Arrays::toString).filter(seen::contains).forEach(both::add);
    if (!both.isEmpty()) {
      throw new BadInputException(
          "--corpus and --eval",
          both.size() + " sequences that are in both",
          "a verdict on text that was not calibrated with",
          "give --eval another text");
    }
  }

  /// What the numbers of the targets depend on beside model and recipe: a digest over every token
  /// and over what document it is of.
  ///
  /// @param floor experts with fewer tokens are run on further ones
  Optional<String> digest(int floor) {
    if (calibration.sequences().isEmpty()) {
      return Optional.empty();
    }
    StringBuilder lines = new StringBuilder("one pass " + floor + "\n");
    lines.append(calibration.documents()).append('\n');
    calibration.sequences().forEach(ids -> lines.append(Arrays.toString(ids)).append('\n'));
    return Optional.of(Sha256.hex(lines.toString().getBytes(StandardCharsets.UTF_8)));
  }

  OnePass.Texts sequences() {
    return new OnePass.Texts(
        calibration.sequences(), calibration.documents(), evaluation.sequences());
  }

  /// Each text file, with its SHA-256.
  List<String> corpora() {
    List<String> corpora = new ArrayList<>(evaluation.corpora());
    calibration.corpora().forEach(corpus -> corpora.add("calibrated with " + corpus));
    return corpora;
  }
}
