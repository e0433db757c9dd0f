package smelt.converter.cli;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import picocli.CommandLine;
import picocli.CommandLine.Option;
import smelt.converter.DidYouMean;
import smelt.converter.report.ReportFormat;
import smelt.converter.report.Reports;

/// `--report json=F,md=F,junit=F`, the same for every command that finds something; `verify` also
/// has `html=F`.
final class ReportOption {

  private static final List<String> FORMATS =
      Stream.of(ReportFormat.values()).map(ReportFormat::label).toList();

  @CommandLine.Spec(CommandLine.Spec.Target.MIXEE)
  private CommandLine.Model.CommandSpec command;

  @Option(
      names = "--report",
      split = ",",
      paramLabel = "FORMAT=FILE",
      description = "Write a report: json=FILE, md=FILE, junit=FILE; verify also html=FILE.")
  private List<String> parts = List.of();

  /// Where reports go. Commands ask before they begin to work, so that a slip costs nothing.
  ///
  /// @throws CommandLine.ParameterException if the option is wrong
  Reports reports() {
    Map<ReportFormat, Path> files = new EnumMap<>(ReportFormat.class);
    files(FORMATS).forEach((name, file) -> files.put(ReportFormat.named(name).orElseThrow(), file));
    return new Reports(files);
  }

  /// One file for each format that is wanted.
  ///
  /// @param formats the names that the command knows
  /// @throws CommandLine.ParameterException if the option is wrong
  Map<String, Path> files(List<String> formats) {
    Map<String, Path> files = new TreeMap<>();
    for (String part : parts) {
      int equals = part.indexOf('=');
      String name = equals < 0 ? part : part.substring(0, equals);
      if (!formats.contains(name)) {
        throw refuse(
            part, DidYouMean.remedy(name, formats, "formats are " + String.join(", ", formats)));
      }
      if (equals < 0 || equals == part.length() - 1) {
        throw refuse(part, "name its file: " + name + "=FILE");
      }
      if (files.putIfAbsent(name, file(part, part.substring(equals + 1))) != null) {
        throw refuse(part, name + " is there twice");
      }
    }
    return files;
  }

  private Path file(String part, String name) {
    try {
      return Path.of(name);
    } catch (InvalidPathException _) {
      throw refuse(part, "not a file name");
    }
  }

  private CommandLine.ParameterException refuse(String part, String remedy) {
    return new CommandLine.ParameterException(
        command.commandLine(), "--report '" + part + "': " + remedy);
  }
}
