package smelt.converter.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import smelt.converter.Program;
import smelt.converter.report.ReportFormat;

class TerminalTest {

  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();

  @Test
  void coloursGoToATerminalOnly() {
    Terminal terminal = new Terminal(out, err, false, true, true);
    terminal.message(Terminal.Colour.RED, "error", ": x");
    terminal.answer(Terminal.Colour.GREEN, "ok");
    terminal.flush();
    assertThat(text(err)).isEqualTo("\u001b[1;31merror\u001b[0m: x\n");
    assertThat(text(out)).isEqualTo("ok\n");
  }

  @Test
  void noColorSwitchesColoursOff() {
    assertThat(Terminal.wantsColours(Map.of())).isTrue();
    assertThat(Terminal.wantsColours(Map.of("NO_COLOR", ""))).isTrue();
    assertThat(Terminal.wantsColours(Map.of("NO_COLOR", "0"))).isFalse();
    assertThat(Terminal.wantsColours(Map.of("TERM", "dumb"))).isFalse();
  }

  @Test
  void theProgramHonoursNoColor() {
    Program.Result plain =
        Program.smelt()
            .jvm("-Dsmelt.terminal=out,err")
            .environment("NO_COLOR", "1")
            .environment("TERM", "xterm")
            .go("recpies");
    assertThat(plain.err()).startsWith("error: ");
    Program.Result coloured =
        Program.smelt()
            .jvm("-Dsmelt.terminal=out,err")
            .environment("NO_COLOR", "")
            .environment("TERM", "xterm")
            .go("recpies");
    assertThat(coloured.err()).startsWith("\u001b[1;31merror\u001b[0m: ");
  }

  @Test
  void whatSteersATerminalNeverReachesIt() {
    Terminal terminal = new Terminal(out, err, true, true, true);
    terminal.answer("a\u001b]0;owned\u0007b\u009b31mc\u202ed\re\u007f\ttab\nline");
    terminal.flush();
    assertThat(text(out)).isEqualTo("a?]0;owned?b?31mc?d?e?\ttab\nline\n");
  }

  @Test
  void hostileArgumentsNeverReachTheTerminalEither() {
    Program.Result result = Program.run("recipes", "\u001b[2Jx", "y\u001b[31m");
    assertThat(result.exit()).isEqualTo(2);
    assertThat(result.err()).doesNotContain("\u001b");
  }

  @Command(name = "reporting")
  static final class ReportingCommand implements Callable<Integer> {
    @Mixin private ReportOption report;
    private String wanted = "";

    @Override
    public Integer call() {
      wanted = String.valueOf(report.reports().files().get(ReportFormat.JUNIT));
      return 0;
    }
  }

  @Test
  void reportsAreNamedByFormat() {
    ReportingCommand command = new ReportingCommand();
    Terminal terminal = new Terminal(out, err, false, false, false);
    assertThat(
            Cli.run(
                terminal, List.of(command), "reporting", "--report", "json=a.json,junit=b=c.xml"))
        .isZero();
    assertThat(command.wanted).isEqualTo("b=c.xml");
  }

  @ParameterizedTest
  @ValueSource(strings = {"jsn=a", "json", "json=", "json=a,json=b", "=x"})
  void aWrongReportIsAUsageError(String value) {
    Terminal terminal = new Terminal(out, err, false, false, false);
    int code = Cli.run(terminal, List.of(new ReportingCommand()), "reporting", "--report", value);
    assertThat(code).isEqualTo(2);
    assertThat(text(err)).startsWith("error: --report '");
  }

  private static String text(ByteArrayOutputStream stream) {
    return stream.toString(StandardCharsets.UTF_8);
  }
}
