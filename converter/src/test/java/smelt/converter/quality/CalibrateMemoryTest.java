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
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// The peak memory that a calibration states beforehand against what it takes, seen from outside.
class CalibrateMemoryTest {

  @TempDir Path folder;

  @BeforeEach
  void needsTheSystemToTellAnonymousMemory() {
    assumeTrue(
        Files.exists(Path.of("/proc/self/status")), "skipped: no /proc/self/status to measure by");
  }

  @Test
  @EnabledIfSystemProperty(named = "smelt.long", matches = "true", disabledReason = "./dev long")
  void staysWithinABudgetThatTheModelExceedsMoreThanTwice() throws IOException {
    Path model = LargeModel.write(folder.resolve("model"), 1_300_000_000L);
    check(model, 300, "none");
    try (Stream<Path> files = Files.list(model)) {
      assertThat(files.mapToLong(file -> file.toFile().length()).sum())
          .isGreaterThan(2L * 300 << 20);
    }
  }

  /// The Hessian before the dense layer's down, 8192 channels, takes 268 MB alone, and as much
  /// again that of the tokens held out.
  @Test
  @EnabledIfSystemProperty(named = "smelt.long", matches = "true", disabledReason = "./dev long")
  void staysWithinABudgetWithHessiansThatTakeMostOfIt() throws IOException {
    check(LargeModel.write(folder.resolve("model"), 700_000_000L), 880, "pool");
  }

  private void check(Path model, long mebibytes, String hessians) throws IOException {
    AtomicLong peak = new AtomicLong();
    String[] args = {
      "calibrate",
      model.toString(),
      "--corpus",
      ids(16, 3),
      "--hessians",
      hessians,
      "--memory",
      mebibytes + "M",
      "--threads",
      "2",
      "--json",
      "-q",
      "-o",
      folder.resolve(hessians).toString()
    };
    Program.Result ended =
        Program.smelt()
            .goWatched(
                process -> Thread.ofPlatform().daemon().start(() -> watch(process, peak)), args);
    assertThat(ended.exit()).as(ended.err()).isZero();
    JsonNode answer = JsonMapper.shared().readTree(ended.out());
    long planned = answer.get("memory_planned").asLong();
    System.out.printf(
        "planned %d, taken %d, from outside %d; %d bytes read of %d%n",
        planned,
        answer.get("memory_peak").asLong(),
        peak.get(),
        answer.get("bytes_read").asLong(),
        answer.get("weight_bytes").asLong());
    assertThat(planned).isLessThanOrEqualTo(mebibytes << 20);
    assertThat(peak.get()).isLessThanOrEqualTo(planned);
    assertThat(answer.get("memory_peak").asLong()).isLessThanOrEqualTo(planned);
    assertThat(answer.get("bytes_read").asLong())
        .isLessThanOrEqualTo(answer.get("weight_bytes").asLong() * 102 / 100);
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
