package smelt.converter.cli;

import java.io.Console;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.OutputStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Optional;
import picocli.CommandLine;

/// Where a command's answer and its messages go. The answer (`out`) and the messages (`err`) are
/// kept apart, so that an answer can be piped.
///
/// Text is UTF-8. Control characters, which may come from a hostile model's names, are shown as
/// `?`; colours are added here, after that. Safe for use by several threads.
public final class Terminal {

  /// The colours that messages use.
  enum Colour {
    RED("\u001b[1;31m"),
    GREEN("\u001b[32m"),
    YELLOW("\u001b[33m"),
    BOLD("\u001b[1m");

    private final String code;

    Colour(String code) {
      this.code = code;
    }
  }

  private static final String RESET = "\u001b[0m";

  private final PrintWriter out;
  private final PrintWriter err;
  private final boolean outIsTerminal;
  private final boolean errIsTerminal;
  private final boolean colours;

  Terminal(
      OutputStream out,
      OutputStream err,
      boolean outIsTerminal,
      boolean errIsTerminal,
      boolean colours) {
    this.out = new PrintWriter(out, false, StandardCharsets.UTF_8);
    this.err = new PrintWriter(err, true, StandardCharsets.UTF_8);
    this.outIsTerminal = outIsTerminal;
    this.errIsTerminal = errIsTerminal;
    this.colours = colours;
  }

  /// The process's own streams. The launcher says with `smelt.terminal` (`out`, `err`, `out,err` or
  /// nothing) which of them are terminals, since Java cannot tell for the second; without it both
  /// are taken for what the console is.
  public static Terminal ofProcess() {
    String said = System.getProperty("smelt.terminal");
    boolean out;
    boolean err;
    if (said == null) {
      out = Optional.ofNullable(System.console()).map(Console::isTerminal).orElse(false);
      err = out;
    } else {
      out = said.contains("out");
      err = said.contains("err");
    }
    return new Terminal(
        new FileOutputStream(FileDescriptor.out),
        new FileOutputStream(FileDescriptor.err),
        out,
        err,
        wantsColours(System.getenv()));
  }

  /// Streams that are no terminals, such as files; they stay the caller's to close.
  public static Terminal of(OutputStream out, OutputStream err) {
    return new Terminal(out, err, false, false, false);
  }

  /// No colours where `NO_COLOR` is set to anything, or on a dumb terminal.
  static boolean wantsColours(Map<String, String> environment) {
    return environment.getOrDefault("NO_COLOR", "").isEmpty()
        && !"dumb".equals(environment.get("TERM"));
  }

  /// Whether a line of messages can be rewritten.
  public boolean rewritesMessages() {
    return errIsTerminal;
  }

  /// Columns of the terminal, as far as the environment says (`COLUMNS`), otherwise 80.
  int width() {
    String columns = System.getenv().getOrDefault("COLUMNS", "");
    return columns.matches("[0-9]{1,4}") ? Math.max(20, Integer.parseInt(columns)) : 80;
  }

  /// Writes lines of the answer.
  public void answer(String text) {
    out.println(printable(text));
  }

  /// Writes a part of a line of the answer, to be seen at once.
  ///
  /// @return false when it can no longer be written, because nobody reads it
  boolean answerPart(String text) {
    out.print(printable(text));
    return !out.checkError();
  }

  /// Writes lines of the answer, coloured if they go to a terminal.
  void answer(Colour colour, String text) {
    out.println(paint(outIsTerminal, colour, printable(text)));
  }

  /// Writes a message, for people: never part of the answer.
  public void message(String text) {
    err.println(printable(text));
  }

  /// Writes a message that begins with a coloured word.
  void message(Colour colour, String word, String text) {
    err.println(paint(errIsTerminal, colour, printable(word)) + printable(text));
  }

  /// The stream of answers.
  PrintWriter answers() {
    return out;
  }

  /// How help is painted.
  CommandLine.Help.Ansi ansi() {
    return outIsTerminal && colours ? CommandLine.Help.Ansi.ON : CommandLine.Help.Ansi.OFF;
  }

  /// The stream of messages, for progress lines.
  public PrintWriter messages() {
    return err;
  }

  public void flush() {
    out.flush();
    err.flush();
  }

  private String paint(boolean isTerminal, Colour colour, String text) {
    return isTerminal && colours ? colour.code + text + RESET : text;
  }

  /// Text without the characters that steer a terminal or turn the direction of writing; line ends
  /// and tabs stay.
  static String printable(String text) {
    StringBuilder clean = new StringBuilder(text.length());
    text.codePoints().forEach(c -> clean.appendCodePoint(isHarmless(c) ? c : '?'));
    return clean.toString();
  }

  private static boolean isHarmless(int c) {
    return c == '\n'
        || c == '\t'
        || !(Character.isISOControl(c) || Character.getType(c) == Character.FORMAT);
  }
}
