package smelt.converter.cli;

import java.util.OptionalLong;
import picocli.CommandLine;
import picocli.CommandLine.Option;

/// `--threads` and `--memory`, the same for plan and convert.
final class RunOptions {

  private static final int MOST_THREADS = 1024;

  @CommandLine.Spec(CommandLine.Spec.Target.MIXEE)
  private CommandLine.Model.CommandSpec command;

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "Worker threads. Default: one for each processor.")
  private Integer threads;

  @Option(
      names = "--memory",
      paramLabel = "SIZE",
      converter = ByteSizeConverter.class,
      description = "Most anonymous memory that the run may take, such as 512M or 8G.")
  private Long memory;

  int threads() {
    if (threads == null) {
      return Runtime.getRuntime().availableProcessors();
    }
    if (threads < 1 || threads > MOST_THREADS) {
      throw new CommandLine.ParameterException(
          command.commandLine(), "--threads " + threads + ": from 1 to " + MOST_THREADS);
    }
    return threads;
  }

  OptionalLong memory() {
    return memory == null ? OptionalLong.empty() : OptionalLong.of(memory);
  }
}
