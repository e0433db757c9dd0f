package smelt.formats.checkpoint;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import smelt.formats.BadInputException;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.SyntheticCheckpoint.Form;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// Whatever happens to config or index, opening gives a checkpoint or one of the two refusals.
class DamagedTextTest {

  private static final int ROUNDS = 400;
  private static final String PIECES = "{}[]\",:0123456789-.eE+ntf\\u/_ \u00e9";

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"config.json", CheckpointDraft.INDEX})
  void damageIsRefusedInWordsOrHarmless(String name) throws IOException {
    SyntheticCheckpoint.of(Architecture.DEEPSEEK_V32)
        .form(Form.FP8_BLOCK_UE8M0)
        .with("num_hidden_layers", 2)
        .with("n_routed_experts", 2)
        .write(folder);
    String text = Files.readString(folder.resolve(name));
    long seed = 20260101;
    RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
    int refused = 0;
    for (int round = 0; round < ROUNDS; round++) {
      Files.write(folder.resolve(name), damaged(text, random).getBytes(UTF_8));
      try (ModelSource source = ModelSources.open(folder)) {
        assertThat(Checkpoint.open(source).weights()).isNotEmpty();
      } catch (BadInputException | UnsupportedException e) {
        assertThat(e.getMessage()).as("seed %s, round %s", seed, round).isNotBlank();
        refused++;
      }
    }
    assertThat(refused).isBetween(ROUNDS / 4, ROUNDS);
  }

  private static String damaged(String text, RandomGenerator random) {
    StringBuilder out = new StringBuilder(text);
    for (int i = random.nextInt(1, 4); i > 0; i--) {
      int at = random.nextInt(out.length());
      char piece = PIECES.charAt(random.nextInt(PIECES.length()));
      switch (random.nextInt(5)) {
        case 0 -> out.setCharAt(at, piece);
        case 1 -> out.insert(at, piece);
        case 2 -> out.delete(at, Math.min(out.length(), at + random.nextInt(1, 20)));
        case 3 -> out.insert(at, out.substring(at, Math.min(out.length(), at + 40)));
        default -> digit(out, at, random);
      }
    }
    return out.toString();
  }

  /// Replaces the next digit, which keeps the text well-formed and changes its meaning.
  private static void digit(StringBuilder out, int from, RandomGenerator random) {
    for (int at = from; at < out.length(); at++) {
      if (Character.isDigit(out.charAt(at))) {
        out.setCharAt(at, (char) ('0' + random.nextInt(10)));
        return;
      }
    }
  }
}
