package smelt.converter.cli;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import picocli.CommandLine;
import smelt.calibrate.text.SpecialTokens;
import smelt.calibrate.text.Tokenizer;

/// What a model is to go on from.
///
/// @param text as typed; `-` stands for standard input, less the line end at its end
/// @param command for refusals
record Prompt(String text, CommandLine command) {

  /// Longest text that is read from standard input, in bytes.
  private static final int LONGEST = 16 << 20;

  private static final String STANDARD_INPUT = "-";
  private static final Pattern BETWEEN_IDS = Pattern.compile("[\\s,\\[\\]]+");

  /// The ids that the model reads.
  ///
  /// @param tokenizer turns the prompt into ids, behind the model's begin token; without one the
  ///   prompt is ids, which are taken as they are
  /// @param vocabulary number of ids that the model knows
  int[] tokens(
      InputStream input, Optional<Tokenizer> tokenizer, SpecialTokens special, int vocabulary)
      throws IOException {
    String given = text.equals(STANDARD_INPUT) ? read(input) : text;
    int[] tokens =
        tokenizer.isEmpty()
            ? parse(given)
            : IntStream.concat(
                    special.begin().stream(), IntStream.of(tokenizer.get().encode(given)))
                .toArray();
    if (tokens.length == 0) {
      throw refuse("no token; give something to go on from");
    }
    for (int token : tokens) {
      if (token < 0 || token >= vocabulary) {
        throw refuse("token id " + token + "; this model has 0 to " + (vocabulary - 1));
      }
    }
    return tokens;
  }

  private String read(InputStream input) throws IOException {
    byte[] bytes = input.readNBytes(LONGEST + 1);
    if (bytes.length > LONGEST) {
      throw refuse("more than " + LONGEST + " bytes");
    }
    try {
      String all = UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
      String line = all.endsWith("\n") ? all.substring(0, all.length() - 1) : all;
      return line.endsWith("\r") ? line.substring(0, line.length() - 1) : line;
    } catch (CharacterCodingException _) {
      throw refuse("bytes that are not UTF-8");
    }
  }

  private int[] parse(String given) {
    return BETWEEN_IDS
        .splitAsStream(given)
        .filter(word -> !word.isEmpty())
        .mapToInt(this::id)
        .toArray();
  }

  private int id(String word) {
    try {
      return Integer.parseInt(word);
    } catch (NumberFormatException _) {
      throw refuse("'" + word + "' is no token id; they look like 0 40 71");
    }
  }

  private CommandLine.ParameterException refuse(String message) {
    String where = text.equals(STANDARD_INPUT) ? "standard input" : "--prompt";
    return new CommandLine.ParameterException(command, where + ": " + message);
  }
}
