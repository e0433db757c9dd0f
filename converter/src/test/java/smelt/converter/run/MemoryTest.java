package smelt.converter.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;
import smelt.converter.Program;
import smelt.formats.Checkout;
import smelt.formats.Share;
import smelt.formats.checkpoint.Architecture;
import smelt.formats.checkpoint.SyntheticCheckpoint;
import smelt.formats.checkpoint.SyntheticCheckpoint.Form;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// The plan's peak memory against what the program takes, seen from outside: at least as much, and
/// at most 1.3 times it.
class MemoryTest {

  private record Seen(long planned, long reported, long fromOutside) {}

  @TempDir Path folder;

  @BeforeEach
  void needsTheSystemToTellAnonymousMemory() {
    assumeTrue(
        Files.exists(Path.of("/proc/self/status")), "skipped: no /proc/self/status to measure by");
  }

  @Test
  void isAsPlannedForASmallModel() throws Exception {
    check(convert(Checkout.root().resolve("samples/tiny-deepseek-v3-fp8"), "int8-channel"));
  }

  @Test
  @EnabledIfSystemProperty(named = "smelt.long", matches = "true", disabledReason = "./dev long")
  void isAsPlannedForWideLayers() throws Exception {
    Path model =
        SyntheticCheckpoint.of(Architecture.DEEPSEEK_V3)
            .form(Form.FP8_BLOCK)
            .with("hidden_size", 2048)
            .with("moe_intermediate_size", 1024)
            .with("n_routed_experts", 16)
            .write(folder.resolve("model"));
    check(convert(model, "int8-channel"));
  }

  @Test
  @EnabledIfSystemProperty(named = "smelt.long", matches = "true", disabledReason = "./dev long")
  void isAsPlannedForManyTensors() throws Exception {
    Path model =
        SyntheticCheckpoint.of(Architecture.DEEPSEEK_V3)
            .form(Form.FP8_BLOCK)
            .with("hidden_size", 64)
            .with("moe_intermediate_size", 64)
            .with("n_routed_experts", 256)
            .with("num_hidden_layers", 9)
            .write(folder.resolve("model"));
    check(convert(model, "gpu-int8-and-fp8"));
  }

  @Test
  void staysWithinTheBudgetWithAnEmbeddingManyTimesAsLarge() throws Exception {
    Path model =
        SyntheticCheckpoint.of(Architecture.LLAMA)
            .with("hidden_size", 2048)
            .with("vocab_size", Share.of(80_000, 231_936))
            .with("intermediate_size", 256)
            .with("tie_word_embeddings", true)
            .write(folder.resolve("model"));
    long budget = Share.of(128L, 512L) << 20;
    Seen seen = convert(model, "int8-channel", "--memory", Long.toString(budget));
    System.out.println("an embedding far larger than --memory: " + seen);
    assertThat(seen.planned()).isLessThanOrEqualTo(budget);
    assertThat(seen.fromOutside()).isLessThanOrEqualTo(budget);
    check(seen);
  }

  private static void check(Seen seen) {
    System.out.println(seen);
    assertThat(seen.fromOutside()).isLessThanOrEqualTo(seen.planned());
    assertThat(seen.reported()).isLessThanOrEqualTo(seen.planned());
    assertThat(seen.planned()).isLessThanOrEqualTo(seen.reported() * 13 / 10);
  }

  private Seen convert(Path model, String recipe, String... more) {
    AtomicLong peak = new AtomicLong();
    String[] args = {
      "convert", model.toString(), "--recipe", recipe, "-o", folder.resolve("out").toString()
    };
    String[] all = new String[args.length + more.length + 3];
    System.arraycopy(args, 0, all, 0, args.length);
    System.arraycopy(more, 0, all, args.length, more.length);
    all[all.length - 3] = "--json";
    all[all.length - 2] = "--threads";
    all[all.length - 1] = "2";
    Program.Result result =
        Program.smelt()
            .goWatched(
                process -> Thread.ofPlatform().daemon().start(() -> watch(process, peak)), all);
    assertThat(result.exit()).as(result.err()).isZero();
    JsonNode json = JsonMapper.builder().build().readTree(result.out());
    return new Seen(
        json.get("memory_planned").asLong(), json.get("memory_peak").asLong(), peak.get());
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
