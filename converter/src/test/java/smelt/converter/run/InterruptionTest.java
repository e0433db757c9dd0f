package smelt.converter.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import smelt.converter.Program;
import smelt.formats.Share;
import smelt.formats.checkpoint.Architecture;
import smelt.formats.checkpoint.SyntheticCheckpoint;

/// Ends the real program by signals, in the middle of a run over 16 units.
class InterruptionTest {

  @TempDir static Path shared;
  @TempDir Path folder;

  private static Path model;
  private static Path recipe;
  private static Map<String, String> expected;

  @BeforeAll
  static void convertUndisturbed() throws IOException {
    model =
        SyntheticCheckpoint.of(Architecture.DEEPSEEK_V3)
            .form(SyntheticCheckpoint.Form.FP8_BLOCK)
            .with("hidden_size", 512)
            .with("moe_intermediate_size", 128)
            .with("n_routed_experts", 16)
            .with("num_hidden_layers", 16)
            .write(shared.resolve("model"));
    recipe = shared.resolve("small.yaml");
    Files.writeString(recipe, "name: small\ntargets: [int8-channel]\nshard_size: 1MiB\n");
    Path whole = shared.resolve("whole");
    Program.Result result = Program.run(command(whole));
    assertThat(result.exit()).as(result.err()).isZero();
    expected = Converting.digests(whole);
  }

  private static String[] command(Path out) {
    return new String[] {
      "convert", model.toString(), "--recipe", recipe.toString(), "-o", out.toString(), "--json"
    };
  }

  static List<String> signals() {
    return Share.of(List.of("TERM", "INT"), 1);
  }

  @ParameterizedTest
  @MethodSource("signals")
  void aSignalEndsWith75AndTheNextRunGoesOn(String signal) throws Exception {
    assumeFalse(
        signal.equals("INT") && interruptsAreIgnored(),
        "the tests were started with Ctrl-C switched off, and so is what they start");
    Path out = folder.resolve("out");
    Path messages = folder.resolve("messages");
    Process process = Program.smelt().start(messages, command(out));
    Path receipts = out.resolve(".smelt/receipts");
    await(process, () -> names(receipts).stream().filter(n -> n.endsWith(".json")).count() >= 2);
    send(signal, process);
    assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
    String said = Files.readString(messages);
    assertThat(process.exitValue()).as(said).isEqualTo(75);
    assertThat(said).contains("run the same command again: finished units are kept");
    int kept = names(receipts).size();
    assertThat(kept).isGreaterThanOrEqualTo(2);
    assertThat(Converting.names(out)).noneMatch(n -> n.endsWith(".part"));
    assertThat(Converting.names(out).stream().filter(n -> n.endsWith(".safetensors")))
        .hasSize(kept);
    assertThat(out.resolve("config.json")).doesNotExist();
    Program.Result again = Program.run(command(out));
    assertThat(again.exit()).as(again.err()).isZero();
    assertThat(again.out()).contains("\"units_kept\" : " + kept);
    assertThat(Converting.digests(out)).isEqualTo(expected);
    System.out.printf("SIG%s after %d units; they were kept%n", signal, kept);
  }

  @Test
  void twoRunsAtTheSameMomentDoTheWorkOnce() throws Exception {
    Path out = folder.resolve("out");
    List<Path> messages = List.of(folder.resolve("first"), folder.resolve("second"));
    Process first = Program.smelt().start(messages.get(0), command(out));
    Process second = Program.smelt().start(messages.get(1), command(out));
    assertThat(first.waitFor(120, TimeUnit.SECONDS)).isTrue();
    assertThat(second.waitFor(120, TimeUnit.SECONDS)).isTrue();
    assertThat(List.of(first.exitValue(), second.exitValue())).containsExactlyInAnyOrder(0, 5);
    boolean firstWon = first.exitValue() == 0;
    assertThat(Files.readString(messages.get(firstWon ? 1 : 0)))
        .containsPattern(
            "another run at work there \\((process "
                + (firstWon ? first : second).pid()
                + "|just begun)\\)")
        .contains("wait for it to end, or choose another folder");
    assertThat(Converting.digests(out)).isEqualTo(expected);
  }

  private interface Condition {
    boolean holds() throws IOException;
  }

  private static void await(Process process, Condition condition) throws Exception {
    while (!condition.holds()) {
      assertThat(process.isAlive()).isTrue();
      Thread.sleep(1);
    }
  }

  private static List<String> names(Path folder) throws IOException {
    if (!Files.isDirectory(folder)) {
      return List.of();
    }
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(f -> f.getFileName().toString()).toList();
    }
  }

  private static void send(String signal, Process process) throws Exception {
    int exit =
        new ProcessBuilder("kill", "-" + signal, Long.toString(process.pid())).start().waitFor();
    assertThat(exit).isZero();
  }

  /// A background job of a shell ignores SIGINT, and its children inherit that.
  private static boolean interruptsAreIgnored() throws IOException {
    Path status = Path.of("/proc/self/status");
    return Files.exists(status)
        && Files.readAllLines(status).stream()
            .filter(line -> line.startsWith("SigIgn:"))
            .anyMatch(line -> (Long.parseUnsignedLong(line.substring(7).strip(), 16) & 2) != 0);
  }
}
