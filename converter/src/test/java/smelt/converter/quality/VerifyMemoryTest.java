package smelt.converter.quality;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;
import smelt.converter.Program;
import smelt.converter.SampleModel;
import smelt.formats.Share;
import smelt.formats.checkpoint.Architecture;
import smelt.formats.checkpoint.SyntheticCheckpoint;
import smelt.formats.checkpoint.SyntheticCheckpoint.Form;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// The peak memory that a verification states beforehand against what it takes, seen from outside.
class VerifyMemoryTest {

  private record Seen(
      long planned, long reported, long fromOutside, int rounds, String activations) {}

  @TempDir Path folder;

  @BeforeEach
  void needsTheSystemToTellAnonymousMemory() {
    assumeTrue(
        Files.exists(Path.of("/proc/self/status")), "skipped: no /proc/self/status to measure by");
  }

  @Test
  void isAsPlannedForASmallModel() {
    Path model = SampleModel.path(SampleModel.FP8);
    String tokens = Share.of("256", "2048");
    check(verify(model, model, "--tokens", tokens, "--sequence-length", "128"));
  }

  @Test
  @EnabledIfSystemProperty(named = "smelt.long", matches = "true", disabledReason = "./dev long")
  void isAsPlannedForManyTensors() throws IOException {
    Path model =
        SyntheticCheckpoint.of(Architecture.DEEPSEEK_V3)
            .form(Form.FP8_BLOCK)
            .with("hidden_size", 64)
            .with("moe_intermediate_size", 64)
            .with("n_routed_experts", 256)
            .with("num_hidden_layers", 4)
            .write(folder.resolve("model"));
    check(verify(model, model, "--corpus", ids(32, 8)));
  }

  @Test
  @EnabledIfSystemProperty(named = "smelt.long", matches = "true", disabledReason = "./dev long")
  void staysWithinABudgetThatTheModelExceedsSeveralTimes() throws IOException {
    Path model = LargeModel.write(folder.resolve("model"), 1_300_000_000L);
    try (Stream<Path> files = Files.list(model)) {
      assertThat(files.mapToLong(file -> file.toFile().length()).sum())
          .isGreaterThan(3L * 300 << 20);
    }
    Path result = folder.resolve("result");
    assertThat(
            Program.smelt()
                .go(
                    "convert",
                    model.toString(),
                    "--recipe",
                    "int8-channel",
                    "-o",
                    result.toString(),
                    "-q")
                .exit())
        .isZero();
    Seen seen =
        verify(result, model, "--memory", "300M", "--corpus", ids(16, 3), "--bounds", "w8a8");
    assertThat(seen.planned()).isLessThanOrEqualTo(300L << 20);
    assertThat(seen.activations()).contains("INT8 per token");
    check(seen);
    assertThat(seen.planned()).isGreaterThanOrEqualTo(seen.reported() * 105 / 100);
  }

  private static void check(Seen seen) {
    System.out.println(seen);
    assertThat(seen.fromOutside()).isLessThanOrEqualTo(seen.planned());
    assertThat(seen.reported()).isLessThanOrEqualTo(seen.planned());
    assertThat(seen.planned()).isLessThanOrEqualTo(seen.reported() * 13 / 10);
  }

  /// A corpus of token ids.
  private String ids(int length, int sequences) throws IOException {
    List<String> lines =
        Stream.iterate(1, n -> n + 1)
            .limit(sequences)
            .map(n ->
                Stream.iterate(n, id -> (id * 31 + 7) % 250)
                    .limit(length)
                    .map(String::valueOf)
                    .toList()
                    .toString())
            .toList();
    return Files.write(folder.resolve("ids.jsonl"), lines).toString();
  }

  private static Seen verify(Path result, Path model, String... more) {
    AtomicLong peak = new AtomicLong();
    String[] args = {
      "verify", result.toString(), "--against", model.toString(), "--json", "-q", "--threads", "2"
    };
    String[] all = Stream.concat(Stream.of(args), Stream.of(more)).toArray(String[]::new);
    Program.Result ended =
        Program.smelt()
            .goWatched(
                process -> Thread.ofPlatform().daemon().start(() -> watch(process, peak)), all);
    assertThat(ended.err()).doesNotContain("error");
    JsonNode report = JsonMapper.shared().readTree(ended.out());
    JsonNode run = report.get("run");
    return new Seen(
        run.get("memory_planned").asLong(),
        run.get("memory_peak").asLong(),
        peak.get(),
        run.get("rounds_planned").asInt(),
        report.get("subject").get("activations").asString());
  }

  private static void watch(Process process, AtomicLong peak) {
    Path status = Path.of("/proc/" + process.pid() + "/status");
    while (process.isAlive()) {
      try {
        Files.readAllLines(status).stream()
            .filter(line -> line.startsWith("RssAnon:"))
            .mapToLong(line -> Long.parseLong(line.replaceAll("[^0-9]", "")) << 10)
            .forEach(bytes -> peak.accumulateAndGet(bytes, Math::max));
        Thread.sleep(10);
      } catch (IOException | InterruptedException _) {
        return;
      }
    }
  }
}
