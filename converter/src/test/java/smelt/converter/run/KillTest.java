package smelt.converter.run;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.converter.Program;
import smelt.formats.Share;
import smelt.formats.checkpoint.Architecture;
import smelt.formats.checkpoint.SyntheticCheckpoint;

/// Kills the real program at random moments, and runs the same command until it ends.
///
/// Half of the moments are spread evenly over the time of an undisturbed run, from the start of the
/// Java machine on; the other half follow a random change of the output folder, since files are
/// sealed, published and cleaned up within milliseconds. Up to eight kills follow each other before
/// a run is left alone.
class KillTest {

  private static final int COUNT = Integer.getInteger("smelt.kill.count", 4);
  private static final long SEED = Long.getLong("smelt.kill.seed", 20260101);
  private static final int LONGEST_CHAIN = 8;
  private static final long LONGEST_SECONDS = 120;

  /// Nanoseconds that leave the processor to the program.
  private static final long BETWEEN_LOOKS = 500_000;

  /// How far a killed run had come.
  private enum Phase {
    BEFORE_ANY_FILE,
    BEFORE_THE_FIRST_SHARD,
    IN_SHARDS,
    BETWEEN_SHARDS,
    PUBLISHING,
    CLEANING_UP,
    DONE_BUT_RUNNING
  }

  @TempDir Path folder;

  private final Random random = new Random(SEED);
  private final Map<Phase, Integer> kills = new EnumMap<>(Phase.class);
  private Path out;
  private String[] command;
  private Map<String, String> expected;
  private int units;

  @Test
  void killedAnywhereTheSameCommandEndsWithTheSameBytes() throws Exception {
    Path recipe = folder.resolve("small.yaml");
    Files.writeString(recipe, "name: small\ntargets: [int8-channel, bf16]\nshard_size: 1MiB\n");
    String model =
        SyntheticCheckpoint.of(Architecture.DEEPSEEK_V3)
            .form(SyntheticCheckpoint.Form.FP8_BLOCK)
            .with("hidden_size", 256)
            .with("moe_intermediate_size", 128)
            .with("n_routed_experts", Share.of(8, 16))
            .with("num_hidden_layers", Share.of(4, 5))
            .write(folder.resolve("model"))
            .toString();
    Path whole = folder.resolve("whole");
    command(model, recipe, whole);
    Program.Result undisturbed = Program.run(command);
    assertThat(undisturbed.exit()).as(undisturbed.err()).isZero();
    expected = Converting.digests(whole);
    units = (int) expected.keySet().stream().filter(n -> n.matches("bf16/model-\\d.*")).count();
    out = folder.resolve("watched");
    command(model, recipe, out);
    long watched = System.nanoTime();
    int changes = killAfter(Long.MAX_VALUE, Integer.MAX_VALUE);
    long nanos = System.nanoTime() - watched;
    assertThat(Converting.digests(out)).isEqualTo(expected);

    long start = System.nanoTime();
    int done = 0;
    int rounds = 0;
    int endedFirst = 0;
    while (done < COUNT) {
      out = folder.resolve("out-" + rounds++);
      command(model, recipe, out);
      int chain = Math.min(COUNT - done, 1 + random.nextInt(LONGEST_CHAIN));
      boolean killed = true;
      for (int i = 0; i < chain && killed; i++) {
        killed = i == 0 ? kill(done, nanos, changes) : kill(done, nanos * 2 / 3, changes * 2 / 3);
        if (killed) {
          kills.merge(phase(), 1, Integer::sum);
          everyFinishedFileIsWhole();
          done++;
        } else {
          endedFirst++;
        }
      }
      runToItsEnd();
      assertThat(Converting.digests(out)).as("seed %d, round %d", SEED, rounds).isEqualTo(expected);
      assertThat(out.resolve(OutputFolder.WORK)).doesNotExist();
      delete(out);
    }
    System.out.printf(
        "killed %d times in %d rounds (seed %d, %d changes and %.1f s a run), %.0f s: %s;"
            + " %d runs ended before their moment%n",
        done,
        rounds,
        SEED,
        changes,
        nanos / 1e9,
        (System.nanoTime() - start) / 1e9,
        kills,
        endedFirst);
    int inWork =
        kills.getOrDefault(Phase.IN_SHARDS, 0)
            + kills.getOrDefault(Phase.BETWEEN_SHARDS, 0)
            + kills.getOrDefault(Phase.PUBLISHING, 0)
            + kills.getOrDefault(Phase.CLEANING_UP, 0);
    assertThat(inWork).isGreaterThanOrEqualTo(COUNT / 3);
  }

  private void command(String model, Path recipe, Path output) {
    command =
        new String[] {
          "convert",
          model,
          "--recipe",
          recipe.toString(),
          "-o",
          output.toString(),
          "--quiet",
          "--kernels",
          "scalar",
          "--threads",
          "2"
        };
  }

  private void runToItsEnd() {
    Program.Result result = Program.smelt().brief().go(command);
    assertThat(result.exit()).as(result.err()).isZero();
  }

  private boolean kill(int number, long nanos, int changes) throws Exception {
    double share = random.nextDouble();
    return number % 2 == 0
        ? killAfter(Long.MAX_VALUE, 1 + (int) (share * changes)) < 0
        : killAfter((long) (share * nanos), Integer.MAX_VALUE) < 0;
  }

  /// Runs the program until the time is over or the output folder changed so often. Negative if it
  /// was killed, otherwise the changes seen until it ended by itself.
  private int killAfter(long nanos, int changes) throws Exception {
    long start = System.nanoTime();
    Process process = Program.smelt().brief().start(command);
    int seen = 0;
    Set<String> before = names();
    while (process.isAlive()) {
      LockSupport.parkNanos(BETWEEN_LOOKS);
      Set<String> now = names();
      seen += now.equals(before) ? 0 : 1;
      before = now;
      if (System.nanoTime() - start >= nanos || seen >= changes) {
        process.destroyForcibly();
        assertThat(process.waitFor(LONGEST_SECONDS, TimeUnit.SECONDS)).isTrue();
        boolean killed = process.exitValue() != 0;
        return killed ? -1 : seen;
      }
      assertThat(System.nanoTime() - start).isLessThan(LONGEST_SECONDS * 1_000_000_000L);
    }
    assertThat(process.exitValue()).isZero();
    return seen;
  }

  private Phase phase() throws IOException {
    Set<String> names = names();
    boolean working = names.contains(OutputFolder.WORK);
    long manifests = names.stream().filter(n -> n.endsWith("/manifest.json")).count();
    if (!working) {
      return manifests == 0 ? Phase.BEFORE_ANY_FILE : Phase.DONE_BUT_RUNNING;
    }
    if (manifests == 2) {
      return Phase.CLEANING_UP;
    }
    if (names.stream().filter(n -> n.matches(".*/unit-\\d+\\.json")).count() == units) {
      return Phase.PUBLISHING;
    }
    if (names.stream().anyMatch(n -> n.endsWith(".safetensors.part"))) {
      return Phase.IN_SHARDS;
    }
    return names.stream().anyMatch(n -> n.endsWith(".safetensors"))
        ? Phase.BETWEEN_SHARDS
        : Phase.BEFORE_THE_FIRST_SHARD;
  }

  /// Whatever has its final name has its final bytes, and a manifest has its whole folder.
  private void everyFinishedFileIsWhole() throws IOException {
    if (!Files.exists(out)) {
      return;
    }
    Map<String, String> found = Converting.digests(out);
    found.keySet().removeIf(n -> n.startsWith(OutputFolder.WORK) || n.endsWith(".part"));
    assertThat(expected.entrySet()).containsAll(found.entrySet());
    for (String target : Set.of("int8-channel/", "bf16/")) {
      if (found.containsKey(target + "manifest.json")) {
        expected.keySet().stream()
            .filter(n -> n.startsWith(target))
            .forEach(n -> assertThat(found).containsKey(n));
      }
    }
  }

  /// Files and folders below the output, while another process changes them.
  private Set<String> names() throws IOException {
    Set<String> names = new HashSet<>();
    if (Files.exists(out)) {
      Files.walkFileTree(
          out,
          new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult preVisitDirectory(Path dir, BasicFileAttributes attributes) {
              return visitFile(dir, attributes);
            }

            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
              names.add(out.relativize(file).toString());
              return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult visitFileFailed(Path file, IOException e) throws IOException {
              if (e instanceof NoSuchFileException) {
                return FileVisitResult.CONTINUE;
              }
              throw e;
            }

            @Override
            public FileVisitResult postVisitDirectory(Path dir, IOException e) {
              return FileVisitResult.CONTINUE;
            }
          });
    }
    return names;
  }

  private static void delete(Path folder) throws IOException {
    try (Stream<Path> files = Files.walk(folder)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    }
  }
}
