package smelt.converter.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.gguf.GgufParts;
import smelt.formats.source.ModelSource;

/// `smelt inspect`: what is in a model. Reads headers only.
@Command(
    name = "inspect",
    mixinStandardHelpOptions = true,
    description = "Show what is in a model: architecture, parameters, types, bytes, scales, MTP.")
public final class InspectCommand implements Callable<Integer> {

  private final Terminal terminal;

  @Parameters(
      index = "0",
      paramLabel = "MODEL",
      description = "Folder, snapshot, archive or GGUF file.")
  private Path model;

  @Option(names = "--tensors", description = "Also list every stored tensor.")
  private boolean tensors;

  @Mixin private JsonOption json;

  public InspectCommand(Terminal terminal) {
    this.terminal = terminal;
  }

  @Override
  public Integer call() throws IOException {
    try (ModelSource source = Models.open(model)) {
      if (GgufParts.isIn(source)) {
        gguf(GgufParts.open(source));
        return ExitCode.OK.code();
      }
      Checkpoint checkpoint = Checkpoint.open(source);
      if (json.wanted()) {
        json.answer(terminal, InspectJson.of(checkpoint, tensors));
      } else {
        InspectText.lines(checkpoint, tensors, terminal::answer);
      }
    }
    return ExitCode.OK.code();
  }

  private void gguf(GgufParts parts) throws IOException {
    if (json.wanted()) {
      json.answer(terminal, InspectGguf.json(parts, tensors));
    } else {
      InspectGguf.lines(parts, tensors, terminal::answer);
    }
  }
}
