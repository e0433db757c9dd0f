package smelt.converter.cli;

import java.util.List;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import smelt.converter.Version;

/// The program's command line, put together from its commands.
public final class Cli {

  /// Without a command there is only help.
  @Command(
      name = "smelt",
      mixinStandardHelpOptions = true,
      versionProvider = Cli.Versions.class,
      synopsisSubcommandLabel = "COMMAND",
      description = "Converts mixture-of-experts checkpoints into what a given machine can serve.",
      footer = {
        "",
        "MODEL is a folder with safetensors shards, a Hugging Face cache snapshot, or a",
        "plain tar or stored zip of either. 'smelt COMMAND --help' shows a command's",
        "options.",
        "",
        "Exit codes: 0 ok, 1 a bound failed or models differ, 2 usage or recipe,",
        "3 bad source, 4 refused beforehand, 5 output locked or of another plan,",
        "6 some units failed, 70 a fault in Smelt, 75 interrupted (run again to resume)."
      })
  static final class Smelt implements Runnable {
    @CommandLine.Spec private CommandLine.Model.CommandSpec spec;

    @Override
    public void run() {
      throw new CommandLine.ParameterException(spec.commandLine(), "no command given");
    }
  }

  static final class Versions implements CommandLine.IVersionProvider {
    @Override
    public String[] getVersion() {
      return new String[] {"smelt " + Version.text()};
    }
  }

  private Cli() {}

  /// Runs one command line.
  ///
  /// @param commands objects with `@Command`, in the order of the help
  /// @return the process's exit code
  public static int run(Terminal terminal, List<Object> commands, String... args) {
    try {
      CommandLine line = new CommandLine(new Smelt());
      commands.forEach(line::addSubcommand);
      line.setOut(terminal.answers());
      line.setErr(terminal.messages());
      line.setColorScheme(CommandLine.Help.defaultColorScheme(terminal.ansi()));
      line.setCaseInsensitiveEnumValuesAllowed(true);
      line.setParameterExceptionHandler((e, _) -> Failures.report(e, terminal).code());
      line.setExecutionExceptionHandler((e, _, _) -> Failures.report(e, terminal).code());
      return line.execute(args);
    } catch (Throwable e) {
      // picocli lets errors pass, such as running out of memory.
      return Failures.report(e, terminal).code();
    } finally {
      terminal.flush();
    }
  }
}
