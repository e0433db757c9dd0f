package smelt.converter.cli;

import picocli.CommandLine.Option;
import smelt.converter.progress.Progress;

/// `--quiet`, the same for every command that takes its time.
final class QuietOption {

  @Option(
      names = {"-q", "--quiet"},
      description = "No progress.")
  private boolean quiet;

  /// Progress on the terminal's messages; the caller closes it.
  Progress progress(Terminal terminal, String what) {
    if (quiet) {
      return Progress.silent();
    }
    return terminal.rewritesMessages()
        ? Progress.rewriting(what, terminal.messages(), terminal.width())
        : Progress.lines(what, terminal.messages());
  }
}
