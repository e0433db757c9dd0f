package smelt.converter.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.NoSuchFileException;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;
import smelt.converter.InterruptedRunException;
import smelt.converter.OutputConflictException;
import smelt.converter.RefusedException;
import smelt.converter.UnitsFailedException;
import smelt.converter.recipe.RecipeException;
import smelt.formats.BadInputException;
import smelt.formats.UnsupportedException;

/// The program's command line around a command that ends as it is told.
final class ThrowingMain {

  private ThrowingMain() {}

  public static void main(String[] args) {
    Terminal terminal = Terminal.ofProcess();
    System.exit(Cli.run(terminal, List.of(new EndCommand()), args));
  }

  @Command(name = "end")
  static final class EndCommand implements Callable<Integer> {
    @Parameters private String how;

    @Override
    public Integer call() throws Exception {
      throw end();
    }

    private Exception end() {
      return switch (how) {
        case "recipe" -> new RecipeException("r.yaml line 1", "a", "b", "c");
        case "bad-input" -> new BadInputException("f", "a\u001b[31m\nerror: forged", "b", "c");
        case "unsupported" -> new UnsupportedException("DeepSeek-V9", "V3 works");
        case "refused" -> new RefusedException("memory", "1 GiB", "2 GiB", "--memory 2G");
        case "conflict" -> new OutputConflictException("out", "plan a", "plan b", "another -o");
        case "units" -> new UnitsFailedException("unit 3", "a read error", "bytes", "try again");
        case "interrupted" -> new InterruptedRunException("out", "a signal", "no signal", "again");
        case "disk-full" -> new UncheckedIOException(new IOException("No space left on device"));
        case "io" -> new NoSuchFileException("gone.safetensors");
        case "memory" -> throw new OutOfMemoryError("Java heap space");
        default -> new IllegalStateException("planted fault");
      };
    }
  }
}
