package smelt.converter.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import smelt.converter.recipe.ExpertChoices;
import smelt.converter.run.AnonymousMemory;
import smelt.converter.run.DiskSpace;
import smelt.converter.run.HeapThrift;
import smelt.converter.run.MemoryPlan;
import smelt.converter.run.OutputFolder;

/// `smelt repack`: the same numbers in other files. Codes and scales are moved, never rounded; what
/// cannot be had so is refused.
@Command(
    name = "repack",
    mixinStandardHelpOptions = true,
    description = {
      "The same numbers in other files, to the bit, or refused: experts for another number of NUMA",
      "nodes, as a tree or merged, INT8 rows as experts and back; GGUF split or merged.",
      "Run again to resume."
    })
public final class RepackCommand implements Callable<Integer> {

  private final Terminal terminal;
  private final Interruption interruption;

  @CommandLine.Spec private CommandLine.Model.CommandSpec command;

  @Parameters(
      index = "0",
      paramLabel = "IN",
      description = "Packed experts, a quantized checkpoint, or GGUF (a folder or a file).")
  private Path in;

  @Option(
      names = {"-o", "--output"},
      paramLabel = "OUT",
      description = "Folder for the result; new, empty, or an unfinished run of the same plan.")
  private Path output;

  @Option(names = "--plan", description = "Show exactly what would be written; write nothing.")
  private boolean planOnly;

  @Option(
      names = "--to",
      paramLabel = "TARGET",
      description = "A target of convert. Default for packed experts: the form they have.")
  private String to;

  @Option(
      names = "--numa",
      paramLabel = "N",
      description = "NUMA nodes to cut experts for. Default: as they are cut, else 1.")
  private Integer numa;

  @Option(
      names = "--form",
      paramLabel = "FORM",
      description = "merged (safetensors) or tree (.kt files). Default: merged.")
  private ExpertChoices.Form form;

  @Option(
      names = "--model",
      paramLabel = "MODEL",
      description = "The checkpoint that packed experts belong to.")
  private Path model;

  @Option(names = "--merge", description = "GGUF: one file of all parts.")
  private boolean merge;

  @Option(
      names = "--shard-size",
      paramLabel = "SIZE",
      converter = ByteSizeConverter.class,
      description = "Most bytes of a file, such as 48G; GGUF: files as large as that.")
  private Long shardSize;

  @Mixin private KernelOption kernels;

  @Mixin private DeviceOption device;

  @Mixin private RunOptions run;

  @Mixin private QuietOption quiet;

  @Mixin private JsonOption json;

  @Mixin private ReportOption report;

  public RepackCommand(Terminal terminal, Interruption interruption) {
    this.terminal = terminal;
    this.interruption = interruption;
  }

  @Override
  public Integer call() throws IOException, InterruptedException {
    if (planOnly) {
      try (Repacking repacking = open()) {
        MemoryPlan memory = MemoryPlan.of(repacking.plan(), run.threads(), run.memory());
        if (output != null) {
          DiskSpace.require(repacking.plan(), output);
        }
        PlanCommand.show(terminal, json, repacking.plan(), memory);
      }
      return ExitCode.OK.code();
    }
    if (output == null) {
      throw new CommandLine.ParameterException(
          command.commandLine(), "-o OUT is missing (or --plan, which writes nothing)");
    }
    Execution execution =
        new Execution(
            "repack",
            terminal,
            interruption,
            kernels.chosen(),
            device,
            run,
            quiet,
            json,
            report.reports());
    try (HeapThrift _ = new HeapThrift();
        AnonymousMemory watched = new AnonymousMemory();
        Repacking repacking = open()) {
      OutputFolder.refuseOverlap(output, repacking.folder());
      execution.carryOut(repacking.source(), repacking.plan(), output, watched);
    }
    return ExitCode.OK.code();
  }

  private Repacking open() throws IOException {
    Repacking.Wanted wanted =
        new Repacking.Wanted(
            Optional.ofNullable(to),
            Optional.ofNullable(numa),
            Optional.ofNullable(form),
            Optional.ofNullable(model),
            merge,
            Optional.ofNullable(shardSize));
    return Repacking.open(in, wanted, this::misuse);
  }

  private CommandLine.ParameterException misuse(String message) {
    return new CommandLine.ParameterException(command.commandLine(), message);
  }
}
