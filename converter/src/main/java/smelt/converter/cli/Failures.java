package smelt.converter.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Collectors;
import picocli.CommandLine;
import smelt.converter.DidYouMean;
import smelt.converter.ProblemsException;
import smelt.converter.Version;
import smelt.formats.BadInputException;
import smelt.formats.Problem;

/// Tells the user why a command ended: where, what was found, what was expected, what to do.
final class Failures {

  private static final int SHOWN = 20;

  private Failures() {}

  /// Writes the message and gives the exit code.
  static ExitCode report(Throwable thrown, Terminal terminal) {
    ExitCode code = ExitCode.of(thrown);
    switch (thrown) {
      case CommandLine.ParameterException e -> usage(e, terminal);
      case ProblemsException e -> problems(e.problems(), terminal);
      case BadInputException e -> problems(e.problems(), terminal);
      case UncheckedIOException e -> error(io(e.getCause()), terminal);
      case IOException e -> error(io(e), terminal);
      default -> {
        if (code == ExitCode.FAULT) {
          fault(thrown, terminal);
        } else {
          error(String.valueOf(thrown.getMessage()), terminal);
        }
      }
    }
    return code;
  }

  private static void error(String text, Terminal terminal) {
    terminal.message(Terminal.Colour.RED, "error", ": " + text);
  }

  private static void problems(List<Problem> problems, Terminal terminal) {
    problems.stream().limit(SHOWN).forEach(problem -> error(lines(problem), terminal));
    if (problems.size() > SHOWN) {
      terminal.message("... and " + (problems.size() - SHOWN) + " more");
    }
  }

  private static String lines(Problem problem) {
    return oneLine(problem.where())
        + ": found "
        + oneLine(problem.found())
        + "\n    expected "
        + oneLine(problem.expected())
        + "\n    help: "
        + oneLine(problem.remedy());
  }

  /// A name with a line end in it must not look like a message of its own.
  private static String oneLine(String text) {
    return text.lines().collect(Collectors.joining("?"));
  }

  private static void usage(CommandLine.ParameterException e, Terminal terminal) {
    error(oneLine(String.valueOf(e.getMessage())), terminal);
    if (e instanceof CommandLine.UnmatchedArgumentException unmatched) {
      String word = unmatched.getUnmatched().getFirst();
      Set<String> known =
          unmatched.isUnknownOption()
              ? e.getCommandLine().getCommandSpec().optionsMap().keySet()
              : e.getCommandLine().getSubcommands().keySet();
      DidYouMean.closest(word, known)
          .ifPresent(near -> terminal.message("    did you mean '" + near + "'?"));
    }
    terminal.message(
        "    help: " + e.getCommandLine().getCommandSpec().qualifiedName() + " --help");
  }

  private static String io(IOException e) {
    String what =
        switch (e) {
          case NoSuchFileException missing -> missing.getFile() + ": no such file";
          case AccessDeniedException denied -> denied.getFile() + ": access denied";
          case FileAlreadyExistsException there -> there.getFile() + ": is already there";
          case FileSystemException file when file.getReason() != null ->
              file.getFile() + ": " + file.getReason().toLowerCase(Locale.ROOT);
          default -> e.getMessage() == null ? e.toString() : e.getMessage();
        };
    return oneLine(what) + "\n    help: " + remedy(e);
  }

  private static String remedy(IOException e) {
    if (ExitCode.isDiskFull(e)) {
      return "make room and run the same command again: what is finished is kept";
    }
    return switch (e) {
      case NoSuchFileException _ -> "check the name, and that nothing removes files meanwhile";
      case AccessDeniedException _ -> "check the rights of this file and of its folder";
      default -> "check the disk; the same command goes on where this one ended";
    };
  }

  private static void fault(Throwable thrown, Terminal terminal) {
    StringWriter trace = new StringWriter();
    thrown.printStackTrace(new PrintWriter(trace));
    error("this is a fault in Smelt " + Version.text() + ", not in your files", terminal);
    terminal.message(trace.toString().stripTrailing());
    terminal.message("    help: please report it with the lines above and the command");
  }
}
