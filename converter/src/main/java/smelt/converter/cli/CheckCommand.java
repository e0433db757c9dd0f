package smelt.converter.cli;

import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import smelt.converter.DidYouMean;
import smelt.converter.report.Reports;
import smelt.formats.BadInputException;
import smelt.formats.checkpoint.ModelConfig;
import smelt.formats.source.ModelSource;
import smelt.verify.Check;
import smelt.verify.CheckOptions;
import smelt.verify.CheckReport;
import smelt.verify.RuleText;
import smelt.verify.ServingRuntime;

/// `smelt check`: integrity and loader rules, offline. Exit code 1 when a rule fails.
@Command(
    name = "check",
    mixinStandardHelpOptions = true,
    description = {
      "Check a checkpoint, Smelt's or anyone's: integrity, and the rules of the runtimes that are to"
          + " load it.",
      "Exit code 0 if no rule fails, 1 if one does, 3 if there is no model to read."
    })
public final class CheckCommand implements Callable<Integer> {

  private static final List<String> RUNTIMES =
      Stream.of(ServingRuntime.values()).map(ServingRuntime::label).toList();

  private final Terminal terminal;

  @CommandLine.Spec private CommandLine.Model.CommandSpec command;

  @Parameters(
      index = "0",
      arity = "0..1",
      paramLabel = "OUT",
      description = "Folder, snapshot or archive.")
  private Path model;

  @Option(
      names = "--for",
      split = ",",
      arity = "1..*",
      paramLabel = "RUNTIME",
      description =
          "vllm, sglang, ascend. By default those that could load what the config declares.")
  private List<String> runtimes = List.of();

  @Option(names = "--quick", description = "Headers and texts only: no tensor data, no digests.")
  private boolean quick;

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "Files read at once (default ${DEFAULT-VALUE}).",
      defaultValue = "2")
  private int threads;

  @Option(
      names = "--model",
      paramLabel = "MODEL",
      description = "The model that packed experts are of, to compare shapes with its config.")
  private Path base;

  @Option(names = "--rules", description = "List the rules instead.")
  private boolean rules;

  @Mixin private JsonOption json;

  @Mixin private ReportOption report;

  public CheckCommand(Terminal terminal) {
    this.terminal = terminal;
  }

  @Override
  public Integer call() throws IOException {
    if (rules) {
      listRules();
      return ExitCode.OK.code();
    }
    Set<ServingRuntime> wanted = wanted();
    Reports reports = report.reports();
    if (model == null || threads < 1) {
      throw refuse(model == null ? "name what to check" : "--threads " + threads);
    }
    CheckReport found = run(wanted);
    if (json.wanted()) {
      json.answer(terminal, CheckJson.of(found));
    } else {
      CheckText.lines(found, terminal);
    }
    reports.write(CheckText.report(found));
    return (found.failed() ? ExitCode.BOUND_FAILED : ExitCode.OK).code();
  }

  private CheckReport run(Set<ServingRuntime> wanted) throws IOException {
    try {
      return Check.run(model, wanted, new CheckOptions(!quick, threads, config()));
    } catch (NoSuchFileException e) {
      throw new BadInputException(
          e.getFile(), "nothing there", "a model's folder or archive", "check the path");
    }
  }

  private Optional<ModelConfig> config() throws IOException {
    if (base == null) {
      return Optional.empty();
    }
    try (ModelSource source = Models.open(base)) {
      byte[] bytes = source.readSmall(ModelConfig.FILE, ModelConfig.SIZE_LIMIT);
      return Optional.of(ModelConfig.parse(ModelConfig.FILE, bytes));
    }
  }

  private Set<ServingRuntime> wanted() {
    Set<ServingRuntime> wanted = EnumSet.noneOf(ServingRuntime.class);
    for (String name : runtimes) {
      wanted.add(
          ServingRuntime.named(name)
              .orElseThrow(() ->
                  refuse(
                      "--for '"
                          + name
                          + "': "
                          + DidYouMean.remedy(
                              name, RUNTIMES, "runtimes are " + String.join(", ", RUNTIMES)))));
    }
    return wanted;
  }

  private void listRules() {
    if (json.wanted()) {
      json.answer(terminal, CheckJson.rules());
      return;
    }
    for (RuleText rule : Check.rules()) {
      terminal.answer(
          String.format(
              Locale.ROOT, "%-30s %-14s %s", rule.name(), rule.runtimeLabels(), rule.meaning()));
    }
  }

  private CommandLine.ParameterException refuse(String message) {
    return new CommandLine.ParameterException(command.commandLine(), message);
  }
}
