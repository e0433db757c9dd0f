package smelt.converter;

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
    Terminal terminal = Terminal.ofProcess();
    Interruption interruption = new Interruption();
    int code = Cli.run(terminal, commands(terminal, interruption), args);
    interruption.ended(code);
    System.exit(code);
  }

  /// The commands in the order of the help.
  private static List<Object> commands(Terminal terminal, Interruption interruption) {
    return List.of(
        new InspectCommand(terminal),
        new PlanCommand(terminal),
        new CalibrateCommand(terminal, interruption),
        new ChooseCommand(terminal),
        new ConvertCommand(terminal, interruption),
        new RepackCommand(terminal, interruption),
        new CheckCommand(terminal),
        new VerifyCommand(terminal, interruption),
        new GenerateCommand(terminal, System.in),
        new RecipesCommand(terminal),
        new DiffCommand(terminal),
        new DoctorCommand(terminal, () -> KernelSet.choose("auto")));
  }
}
