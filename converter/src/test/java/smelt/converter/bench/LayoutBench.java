package smelt.converter.bench;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.OptionalDouble;
import java.util.stream.Stream;
import smelt.converter.WideModel;
import smelt.formats.gguf.GgmlType;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// `./dev bench layouts [ROUNDS]`: the layouts for CPUs, kernel by kernel, and then whole: BF16
/// safetensors to GGUF by the program as users start it, beside llama.cpp's quantizer, which is
/// given the same number of weights as F32 in memory on two threads, and neither reads nor writes a
/// file. The quantizer comes with the package that the tests install; without it its columns are
/// empty.
public final class LayoutBench {

  private static final int ROUNDS = 5;
  private static final List<GgmlType> WHOLE =
      List.of(GgmlType.Q8_0, GgmlType.Q4_0, GgmlType.Q4_K, GgmlType.Q6_K);

  private final Path checkout;
  private final Path work;
  private final Path model;

  private LayoutBench(Path checkout, Path work, Path model) {
    this.checkout = checkout;
    this.work = work;
    this.model = model;
  }

  /// @param args the checkout; the number of rounds, by default 5
  public static void main(String[] args) throws IOException, InterruptedException {
    int rounds = args.length > 1 ? Integer.parseInt(args[1]) : ROUNDS;
    Path work = Files.createTempDirectory("smelt-bench-");
    try (LayoutKernels kernels = new LayoutKernels()) {
      kernels.table(System.out, rounds);
      System.out.println();
      Path fp8 = WideModel.of(2).shards(1).write(work.resolve("fp8"));
      LayoutBench bench = new LayoutBench(Path.of(args[0]), work, work.resolve("model"));
      bench.convert("bf16", fp8, bench.model);
      bench.whole(System.out, kernels, Math.max(1, rounds / 2));
    } finally {
      remove(work);
    }
  }

  private Timed convert(String target, Path from, Path to)
      throws IOException, InterruptedException {
    Path recipe =
        Files.writeString(work.resolve("recipe.yaml"), "name: bench\ntargets: [" + target + "]\n");
    return Timed.run(
        work,
        checkout.resolve("smelt").toString(),
        "convert",
        from.toString(),
        "--recipe",
        recipe.toString(),
        "-o",
        to.toString(),
        "--threads",
        "2",
        "--quiet",
        "--json");
  }

  private void whole(PrintStream out, LayoutKernels kernels, int rounds)
      throws IOException, InterruptedException {
    long bytes = bytes(model);
    out.printf(
        Locale.ROOT,
        "| BF16 to GGUF, %.2f GB | s | GB/s | MiB peak | llama.cpp's quantize step s | times it |%n",
        bytes / 1e9);
    out.println("|---|---:|---:|---:|---:|---:|");
    for (GgmlType type : WHOLE) {
      double[] own = new double[rounds];
      double[] other = new double[rounds];
      double[] ratios = new double[rounds];
      long peak = 0;
      for (int round = 0; round < rounds; round++) {
        Path result = work.resolve("result");
        Timed timed =
            convert(
                "{target: gguf, type: " + type.name().toLowerCase(Locale.ROOT) + "}",
                model,
                result);
        remove(result);
        JsonNode answer = JsonMapper.shared().readTree(timed.output());
        peak = Math.max(peak, answer.path("memory_peak").asLong());
        own[round] = timed.seconds();
        other[round] = kernels.seconds(type, bytes / 2).orElse(Double.NaN);
        ratios[round] = other[round] / own[round];
      }
      double seconds = LayoutKernels.median(own);
      out.printf(
          Locale.ROOT,
          "| %s | %.1f | %.2f | %d | %s | %s |%n",
          type,
          seconds,
          bytes / seconds / 1e9,
          peak >> 20,
          number(LayoutKernels.median(other)),
          number(LayoutKernels.median(ratios)));
    }
  }

  private static String number(double value) {
    return OptionalDouble.of(value).stream()
        .filter(Double::isFinite)
        .mapToObj(v -> String.format(Locale.ROOT, "%.1f", v))
        .findFirst()
        .orElse("");
  }

  private static long bytes(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      long bytes = 0;
      for (Path file : files.filter(f -> f.toString().endsWith(".safetensors")).toList()) {
        bytes += Files.size(file);
      }
      return bytes;
    }
  }

  private static void remove(Path folder) throws IOException {
    if (Files.exists(folder)) {
      try (Stream<Path> files = Files.walk(folder)) {
        for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
          Files.delete(file);
        }
      }
    }
  }
}
