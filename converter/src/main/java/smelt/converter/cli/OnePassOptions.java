package smelt.converter.cli;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import picocli.CommandLine;
import picocli.CommandLine.Option;

/// What makes `smelt convert` calibrate and verify on the way.
final class OnePassOptions {

  @CommandLine.Spec(CommandLine.Spec.Target.MIXEE)
  private CommandLine.Model.CommandSpec command;

  @Option(
      names = "--corpus",
      split = ",",
      arity = "1..*",
      paramLabel = "FILE",
      description = {
        "Calibrate with this text while converting, for recipes that choose by it: text, or JSON",
        "lines with \"text\" or token \"ids\". The source is read once."
      })
  private List<Path> corpus = List.of();

  @Option(
      names = "--tokens",
      paramLabel = "N",
      defaultValue = "131072",
      description = "Tokens to calibrate with, at most (default ${DEFAULT-VALUE}).")
  private long tokens;

  @Option(
      names = "--floor",
      paramLabel = "N",
      defaultValue = "128",
      description = {
        "An expert with fewer tokens is also run on those that came closest to being routed to it,",
        "for its down projection alone (default ${DEFAULT-VALUE}; 0 for never)."
      })
  private int floor;

  @Option(
      names = "--verify",
      description = {
        "Verify every target while it is written. Exit code 1 if a bound does not hold."
      })
  private boolean verify;

  @Option(
      names = "--eval",
      split = ",",
      arity = "1..*",
      paramLabel = "FILE",
      description = "Text to verify on; without it a built-in text is used.")
  private List<Path> eval = List.of();

  @Option(
      names = "--eval-tokens",
      paramLabel = "N",
      defaultValue = "16384",
      description = "Tokens to verify on, at most (default ${DEFAULT-VALUE}).")
  private long evalTokens;

  @Option(
      names = "--sequence-length",
      paramLabel = "N",
      description = "Tokens of a sequence, at most (default 512, or what the model can take).")
  private Integer length;

  @Option(
      names = "--verdicts",
      paramLabel = "DIR",
      description = "Write the verdict on each target there, as JSON and HTML.")
  private Path verdicts;

  /// Whether anything of it was asked for.
  boolean isWanted() {
    return !corpus.isEmpty() || verify;
  }

  /// @throws CommandLine.ParameterException if options do not go together
  void check() {
    if (!verify && (!eval.isEmpty() || verdicts != null)) {
      throw refuse("--eval and --verdicts are for --verify");
    }
    if (floor < 0) {
      throw refuse("--floor " + floor + ": at least 0");
    }
    if (tokens < 2 || evalTokens < 2 || (length != null && length < 2)) {
      throw refuse("--tokens, --eval-tokens and --sequence-length are at least 2");
    }
  }

  private CommandLine.ParameterException refuse(String words) {
    return new CommandLine.ParameterException(command.commandLine(), words);
  }

  List<Path> corpus() {
    return corpus;
  }

  long tokens() {
    return tokens;
  }

  int floor() {
    return floor;
  }

  boolean verify() {
    return verify;
  }

  List<Path> eval() {
    return eval;
  }

  long evalTokens() {
    return evalTokens;
  }

  OptionalInt length() {
    return length == null ? OptionalInt.empty() : OptionalInt.of(length);
  }

  Optional<Path> verdicts() {
    return Optional.ofNullable(verdicts);
  }

  /// What was typed, quoted for a shell where needed.
  String commandLine() {
    StringBuilder text = new StringBuilder("smelt convert");
    for (String word : command.commandLine().getParseResult().originalArgs()) {
      boolean plain = word.matches("[A-Za-z0-9_@%+=:,./-]+");
      text.append(' ').append(plain ? word : "'" + word.replace("'", "'\\''") + "'");
    }
    return text.toString();
  }
}
