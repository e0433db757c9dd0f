package smelt.converter.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.calibrate.observe.CalibrationTable;
import smelt.converter.Program;
import smelt.converter.SampleModel;
import smelt.formats.Checkout;
import smelt.formats.Share;
import smelt.formats.files.Sha256;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class CalibrateCommandTest {

  private static final String MODEL = SampleModel.path(SampleModel.FP8).toString();
  private static final String TEXT =
      Checkout.root().resolve("samples/corpora/calibration.jsonl").toString();

  @TempDir Path folder;

  private static String[] command(Path out, String... more) {
    String[] args = {"calibrate", MODEL, "--corpus", TEXT, "-o", out.toString(), "-q"};
    return Stream.concat(Stream.of(args), Stream.of(more)).toArray(String[]::new);
  }

  private static Map<String, String> digests(Path out) throws IOException {
    Map<String, String> digests = new TreeMap<>();
    try (Stream<Path> files = Files.walk(out)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        digests.put(out.relativize(file).toString(), Sha256.hex(Files.readAllBytes(file)));
      }
    }
    return digests;
  }

  @Test
  void makesATableAndTellsOfCoverage() throws IOException {
    Path out = folder.resolve("table");
    Program.Result made =
        Program.run(command(out, "--tokens", "2048", "--hessians", "pool", "--json"));
    assertThat(made.exit()).as(made.err()).isZero();
    JsonNode answer = JsonMapper.shared().readTree(made.out());
    assertThat(answer.get("coverage")).hasSize(3);
    assertThat(answer.get("coverage").get(0).get("experts").asInt()).isEqualTo(16);
    assertThat(answer.get("bytes_read").asLong())
        .isLessThanOrEqualTo(answer.get("weight_bytes").asLong() * 102 / 100);
    CalibrationTable table = CalibrationTable.open(out);
    table.requireIntact();
    assertThat(answer.get("table").asString()).isEqualTo(table.digest());
    assertThat(out.resolve(".smelt")).doesNotExist();
    Program.Result again = Program.run(command(out, "--tokens", "2048", "--hessians", "pool"));
    assertThat(again.exit()).as(again.err()).isZero();
    assertThat(again.err()).contains("nothing to do");
  }

  @Test
  void printsOnlyThePlan() {
    Path out = folder.resolve("table");
    Program.Result plan = Program.run(command(out, "--plan", "--hessians", "all"));
    assertThat(plan.exit()).as(plan.err()).isZero();
    assertThat(plan.out()).contains("memory   at most").contains("each weight once");
    assertThat(out).doesNotExist();
  }

  @Test
  void refusesWhatDoesNotFitOrDoesNotBelongThere() throws IOException {
    Path out = folder.resolve("table");
    Program.Result small = Program.run(command(out, "--memory", "20M"));
    assertThat(small.exit()).isEqualTo(4);
    assertThat(small.err()).contains("give at least");
    assertThat(out).doesNotExist();
    assertThat(Program.run(command(out, "--tokens", "2048", "--floor", "0")).exit()).isZero();
    Program.Result other = Program.run(command(out, "--tokens", "2048", "--floor", "7"));
    assertThat(other.exit()).isEqualTo(5);
    assertThat(other.err()).contains("another model, text or settings");
    Path strange = Files.createDirectory(folder.resolve("strange"));
    Files.writeString(strange.resolve("thesis.txt"), "years of work");
    Program.Result stranger = Program.run(command(strange));
    assertThat(stranger.exit()).isEqualTo(5);
    assertThat(stranger.err()).contains("thesis.txt");
    assertThat(strange.resolve(".smelt")).doesNotExist();
  }

  @Test
  void endsWith1WhenAnExpertSawTooLittle() {
    Path out = folder.resolve("table");
    Program.Result result =
        Program.run(command(out, "--tokens", Share.of("512", "2048"), "--min-coverage", "100000"));
    assertThat(result.exit()).isEqualTo(1);
    assertThat(result.err()).contains("the bound is 100000");
  }

  @Test
  void goesOnAfterASignalAndAfterBeingKilled() throws Exception {
    Path whole = folder.resolve("whole");
    String[] more = {
      "--hessians", "pool", "--tokens", "64", "--kernels", Share.of("scalar", "auto")
    };
    assertThat(Program.run(command(whole, more)).exit()).isZero();
    Path out = folder.resolve("stopped");
    List<String> signals = Share.of(List.of("KILL", "TERM"), 1);
    for (String signal : signals) {
      Path messages = folder.resolve("messages");
      Process process = Program.smelt().brief().start(messages, command(out, more));
      int receipts = receipts(out);
      while (process.isAlive() && receipts(out) <= receipts) {
        Thread.sleep(1);
      }
      assertThat(new ProcessBuilder("kill", "-" + signal, "" + process.pid()).start().waitFor())
          .isZero();
      assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
      assertThat(process.exitValue())
          .as(Files.readString(messages))
          .isEqualTo(signal.equals("TERM") ? 75 : 137);
      assertThat(out.resolve("calibration.json")).doesNotExist();
    }
    Program.Result last =
        Program.run(
            Stream.concat(Stream.of(command(out, more)), Stream.of("--json"))
                .toArray(String[]::new));
    assertThat(last.exit()).as(last.err()).isZero();
    assertThat(JsonMapper.shared().readTree(last.out()).get("layers_kept").asInt())
        .isGreaterThanOrEqualTo(signals.size());
    assertThat(digests(out)).isEqualTo(digests(whole));
  }

  private static int receipts(Path out) throws IOException {
    if (!Files.isDirectory(out.resolve(".smelt"))) {
      return 0;
    }
    try (Stream<Path> files = Files.list(out.resolve(".smelt"))) {
      return (int)
          files.filter(f -> f.getFileName().toString().matches("layer-\\d+\\.json")).count();
    }
  }
}
