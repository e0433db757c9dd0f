package smelt.converter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;

import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.AnnotatedElement;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Option;
import smelt.converter.cli.Interruption;
import smelt.converter.cli.Terminal;

/// Every command tells what it is for, and its text can be laid out: a description is a format.
class HelpTest {

  static List<CommandSpec> commands() {
    Terminal nowhere =
        Terminal.of(OutputStream.nullOutputStream(), OutputStream.nullOutputStream());
    return Main.commands(nowhere, new Interruption(), InputStream.nullInputStream()).stream()
        .map(command -> new CommandLine(command).getCommandSpec())
        .toList();
  }

  @ParameterizedTest
  @MethodSource("commands")
  void everyDescriptionIsAFormatWithoutArguments(CommandSpec command) {
    for (OptionSpec option : command.options()) {
      AnnotatedElement declared = (AnnotatedElement) option.userObject();
      for (String text : declared.getAnnotation(Option.class).description()) {
        assertThatCode(() -> String.format(text)).as(text).doesNotThrowAnyException();
      }
    }
    Program.Result help = Program.run(command.name(), "--help");
    assertThat(help.exit()).isZero();
    assertThat(help.out()).startsWith("Usage: smelt " + command.name()).doesNotContain("%%");
    assertThat(help.err()).isEmpty();
    assertThat(Program.run("--help").out()).contains("  " + command.name() + " ");
  }
}
