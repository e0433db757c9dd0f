package smelt.converter.bench;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import smelt.converter.target.Target;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// `./dev bench convert [RUNS] [TARGET...]`: converts a synthetic checkpoint to every target with
/// the program as users start it, beside copies of as many bytes on the same disk.
///
/// A round is: convert, copy, copy and sync, one right after the other, so that what else goes on
/// on the machine falls on all three; the table shows medians over the rounds, ratios round by
/// round. The page cache is warm: all reading is from memory. The copy is `cp` of the source or of
/// the result, whichever is larger, so it reads and writes at least what the conversion does. A
/// conversion forces its files to the disk, which `cp` does not, hence the second ratio.
///
/// The shard size is a quarter of the model, because the work on a shard overlaps with that on the
/// next one: with the default of 4 GiB this model would be one shard, which larger models never
/// are.
public final class ConvertBench {

  private static final JsonMapper JSON = JsonMapper.builder().build();
  private static final int RUNS = 5;
  private static final String SHARD_SIZE = "512M";

  /// Source, result (BF16 doubles it) and a copy of the result.
  private static final long DISK = 5 * BenchModel.BYTES;

  private final PrintStream out;
  private final Path checkout;
  private final Path work;
  private final Path model;
  private final int runs;

  private ConvertBench(PrintStream out, Path checkout, Path work, int runs) throws IOException {
    this.out = out;
    this.checkout = checkout;
    this.work = work;
    this.runs = runs;
    this.model = BenchModel.write(work.resolve("model"));
  }

  /// @param args the checkout; the number of rounds; targets, none for all
  public static void main(String[] args) throws IOException, InterruptedException {
    int runs = args.length > 1 ? Integer.parseInt(args[1]) : RUNS;
    List<String> targets =
        args.length > 2
            ? List.of(args).subList(2, args.length)
            : Target.checkpoints().stream().map(Target::label).toList();
    run(System.out, Path.of(args[0]), base(), runs, targets);
  }

  private static Path base() {
    String wanted = System.getenv("SMELT_BENCH_DIR");
    return Path.of(wanted != null ? wanted : System.getProperty("java.io.tmpdir"));
  }

  private static void run(PrintStream out, Path checkout, Path base, int runs, List<String> targets)
      throws IOException, InterruptedException {
    long free = Files.getFileStore(base).getUsableSpace();
    out.printf(
        Locale.ROOT,
        "Needs %.0f GB in %s (SMELT_BENCH_DIR names another folder), %.0f GB are free.%n",
        DISK / 1e9,
        base,
        free / 1e9);
    if (free < DISK) {
      throw new IOException(base + ": not enough room");
    }
    Path work = Files.createTempDirectory(base, "smelt-bench-");
    Thread cleaner = new Thread(() -> removeQuietly(work));
    Runtime.getRuntime().addShutdownHook(cleaner);
    new ConvertBench(out, checkout, work, runs).measure(targets);
  }

  private void measure(List<String> targets) throws IOException, InterruptedException {
    Timed.run(work, "sync");
    List<Comparison> comparisons = new ArrayList<>();
    for (String target : targets) {
      comparisons.add(compare(target));
    }
    out.printf(
        Locale.ROOT,
        "%n%d processors; shards of %s; medians of %d rounds. GB/s: larger of source and result.%n%n%s",
        Runtime.getRuntime().availableProcessors(),
        SHARD_SIZE,
        runs,
        ComparisonTable.of(comparisons));
  }

  private Comparison compare(String target) throws IOException, InterruptedException {
    List<Comparison.Round> rounds = new ArrayList<>();
    long bytesOut = 0;
    for (int i = 0; i < runs; i++) {
      Path result = work.resolve("result");
      Timed convert = convert(target, result);
      bytesOut = bytes(result);
      Path larger = bytesOut > bytes(model) ? result : model;
      Timed copy = copy("cp -r \"$0\" \"$1\"", larger);
      Timed synced = copy("cp -r \"$0\" \"$1\" && sync \"$1\"/*", larger);
      remove(result);
      JsonNode answer = JSON.readTree(convert.output());
      rounds.add(
          new Comparison.Round(
              convert,
              copy,
              synced,
              answer.get("memory_planned").asLong(),
              answer.path("memory_peak").asLong()));
      out.printf(
          Locale.ROOT,
          "%s: convert %.1f s, cp %.1f s, cp and sync %.1f s%n",
          target,
          convert.seconds(),
          copy.seconds(),
          synced.seconds());
    }
    return new Comparison(target, bytes(model), bytesOut, rounds);
  }

  private Timed convert(String target, Path result) throws IOException, InterruptedException {
    settle();
    Path recipe = work.resolve("recipe.yaml");
    Files.writeString(
        recipe,
        "name: bench\ndescription: %s\ntargets: [%s]\nshard_size: %s\n"
            .formatted(target, target, SHARD_SIZE));
    return Timed.run(
        work,
        checkout.resolve("smelt").toString(),
        "convert",
        model.toString(),
        "--recipe",
        recipe.toString(),
        "-o",
        result.toString(),
        "--quiet",
        "--json");
  }

  private Timed copy(String script, Path from) throws IOException, InterruptedException {
    settle();
    Path to = work.resolve("copy");
    Timed copy = Timed.run(work, "bash", "-c", script, from.toString(), to.toString());
    remove(to);
    return copy;
  }

  /// The source is in the page cache, and the disk has nothing to do.
  private void settle() throws IOException, InterruptedException {
    Timed.run(work, "bash", "-c", "cat \"$0\"/* >/dev/null", model.toString());
    Timed.run(work, "sync");
  }

  private static long bytes(Path folder) throws IOException {
    long bytes = 0;
    try (Stream<Path> files = Files.walk(folder)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        bytes += Files.size(file);
      }
    }
    return bytes;
  }

  private static void remove(Path folder) throws IOException {
    try (Stream<Path> files = Files.walk(folder)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    }
  }

  private static void removeQuietly(Path folder) {
    try {
      remove(folder);
    } catch (IOException e) {
      System.err.println("dev: cannot remove " + folder + ": " + e.getMessage());
    }
  }
}
