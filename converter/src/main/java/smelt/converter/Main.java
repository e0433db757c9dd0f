package smelt.converter;

import java.io.InputStream;
import java.util.List;
import java.util.Locale;
import smelt.converter.cli.CalibrateCommand;
import smelt.converter.cli.CheckCommand;
import smelt.converter.cli.ChooseCommand;
import smelt.converter.cli.Cli;
import smelt.converter.cli.ConvertCommand;
import smelt.converter.cli.DiffCommand;
import smelt.converter.cli.DoctorCommand;
import smelt.converter.cli.GenerateCommand;
import smelt.converter.cli.InspectCommand;
import smelt.converter.cli.Interruption;
import smelt.converter.cli.PlanCommand;
import smelt.converter.cli.RecipesCommand;
import smelt.converter.cli.RepackCommand;
import smelt.converter.cli.Terminal;
import smelt.converter.cli.VerifyCommand;
import smelt.formats.codec.KernelSet;

/// The program. The one place where its parts are put together.
public final class Main {

  private Main() {}

  public static void main(String[] args) {
    Locale.setDefault(Locale.ROOT);
    Interruption interruption = new Interruption();
    int code = run(Terminal.ofProcess(), interruption, System.in, args);
    interruption.ended(code);
    System.exit(code);
  }

  /// Runs one command line in this process.
  ///
  /// @param interruption of this run; the caller says to it that the run is over
  /// @param in what `generate` reads its text from
  /// @return the exit code
  static int run(Terminal terminal, Interruption interruption, InputStream in, String... args) {
    return Cli.run(terminal, commands(terminal, interruption, in), args);
  }

  /// The commands in the order of the help.
  static List<Object> commands(Terminal terminal, Interruption interruption, InputStream in) {
    return List.of(
        new InspectCommand(terminal),
        new PlanCommand(terminal),
        new CalibrateCommand(terminal, interruption),
        new ChooseCommand(terminal),
        new ConvertCommand(terminal, interruption),
        new RepackCommand(terminal, interruption),
        new CheckCommand(terminal),
        new VerifyCommand(terminal, interruption),
        new GenerateCommand(terminal, in),
        new RecipesCommand(terminal),
        new DiffCommand(terminal),
        new DoctorCommand(terminal, () -> KernelSet.choose("auto")));
  }
}
