package smelt.calibrate.math;

import java.io.PrintStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import smelt.formats.ElementType;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.KernelSet;
import smelt.formats.codec.ScaleFormat;
import smelt.formats.codec.Tile;
import smelt.formats.codec.Transcoder;

/// How fast the operations of the reference model are, beside what the machine can do: products
/// beside a loop of multiply-adds in registers and OpenBLAS, the rest beside a memory copy.
///
/// All cases run by turns in one JVM, round after round, so that what else the machine does meets
/// all alike; shares and ratios are medians of the rounds' own. Times on one thread are of the
/// thread's processor time, on two of the clock: with other work on the machine the latter say
/// little.
final class MathBench {

  private static final int WARM_UP_ROUNDS = 4;
  private static final String PEAK = "multiply-adds in registers";
  private static final String COPY = "memory copy";

  /// Tokens, rows and columns of products: an expert of a small model with many tokens, experts of
  /// DeepSeek-V3 with some, few, one.
  private static final int[][] SHAPES = {
    {512, 2048, 2048}, {64, 2048, 7168}, {16, 2048, 7168}, {1, 2048, 7168}
  };

  /// Something to measure.
  ///
  /// @param amount operations or bytes of one run
  /// @param group what to compare with: the peak, OpenBLAS's case of this shape, or the copy
  private record Case(String name, double amount, String group, Runnable one, Runnable two) {}

  private final Arena arena;
  private final Compute one;
  private final Compute two;
  private final Optional<OpenBlas> blas;
  private final Random random = new Random(91);
  private final List<Case> cases = new ArrayList<>();
  private final Map<String, double[]> onOne = new LinkedHashMap<>();
  private final Map<String, double[]> onTwo = new LinkedHashMap<>();
  private float sink;

  private MathBench(Arena arena, Compute one, Compute two) {
    this.arena = arena;
    this.one = one;
    this.two = two;
    this.blas = OpenBlas.find(arena);
  }

  /// Runs all for a number of rounds, the first argument, and prints the tables.
  public static void main(String[] args) {
    int rounds = args.length == 0 ? 15 : Integer.parseInt(args[0]);
    try (Arena arena = Arena.ofShared();
        Compute one = compute(1);
        Compute two = compute(2)) {
      MathBench bench = new MathBench(arena, one, two);
      bench.addProducts();
      bench.addOthers();
      bench.measure(rounds);
      bench.print(rounds, new PrintStream(System.out, true, StandardCharsets.UTF_8));
    }
  }

  private static Compute compute(int threads) {
    return new Compute(MathKernelSet.choose("vector"), KernelSet.choose("vector"), threads);
  }

  private void add(String name, double amount, String group, Runnable one, Runnable two) {
    cases.add(new Case(name, amount, group, one, two));
  }

  private Matrix normal(int rows, int cols) {
    Matrix matrix = Matrix.zeros(arena, rows, cols);
    for (long i = 0; i < matrix.data().byteSize(); i += Float.BYTES) {
      matrix.data().set(Matrix.F32, i, (float) random.nextGaussian());
    }
    return matrix;
  }

  private Tile encode(Matrix w, Encoding encoding) {
    MemorySegment codes = arena.allocate(encoding.type().bytes(w.rows() * w.cols()), 64);
    MemorySegment scales = arena.allocate(Float.BYTES * w.rows(), 64);
    Tile from = Tile.plain(ElementType.F32, w.data(), 0, w.rows(), w.cols());
    Tile to = new Tile(encoding, codes, 0, scales, 0, w.rows(), w.cols());
    long scratch = Transcoder.scratchBytes(from.encoding(), encoding, w.cols());
    Transcoder.transcode(KernelSet.choose("vector"), from, to, arena.allocate(scratch, 64));
    return to;
  }

  private void addProducts() {
    add(PEAK, PeakLoop.flops(), PEAK, () -> sink += PeakLoop.run(), () -> {});
    for (int[] shape : SHAPES) {
      Matrix x = normal(shape[0], shape[2]);
      Matrix w = normal(shape[1], shape[2]);
      Matrix out = Matrix.zeros(arena, shape[0], shape[1]);
      double flops = 2.0 * shape[0] * shape[1] * shape[2];
      String name = "%4d x %d x %d ".formatted(shape[0], shape[1], shape[2]);
      String other = name + "OpenBLAS F32";
      blas.ifPresent(
          b -> add(other, flops, other, () -> blas(b, 1, x, w, out), () -> blas(b, 2, x, w, out)));
      Map<String, Tile> weights = new LinkedHashMap<>();
      weights.put("F32", encode(w, new Encoding.Plain(ElementType.F32)));
      weights.put("BF16", encode(w, new Encoding.Plain(ElementType.BF16)));
      weights.put("FP8 128x128", encode(w, Encoding.fp8Block(ScaleFormat.FLOAT)));
      weights.put("INT8 channel", encode(w, new Encoding.Channel(ElementType.I8, ElementType.F32)));
      weights.forEach((type, tile) ->
          add(
              name + type,
              flops,
              other,
              () -> one.multiply(x, tile, out),
              () -> two.multiply(x, tile, out)));
    }
    AttentionShape shape = new AttentionShape(16, 16, 192, 128, 0.07f);
    Matrix q = normal(512, 16 * 192);
    Matrix k = normal(512, 16 * 192);
    Matrix v = normal(512, 16 * 128);
    Matrix out = Matrix.zeros(arena, 512, 16 * 128);
    add(
        "attention, 512 tokens, 16 heads of 192 and 128",
        16 * 512.0 * 513 / 2 * 2 * (192 + 128),
        "",
        () -> one.attention(shape, q, k, v, out),
        () -> two.attention(shape, q, k, v, out));
  }

  private static void blas(OpenBlas blas, int threads, Matrix x, Matrix w, Matrix out) {
    blas.useThreads(threads);
    blas.multiply(x, w, out);
  }

  private void addOthers() {
    Matrix x = normal(512, 7168);
    Matrix y = normal(512, 7168);
    Matrix weight = normal(1, 7168);
    Matrix out = Matrix.zeros(arena, 512, 7168);
    Matrix scores = normal(512, 7168);
    Matrix cos = Matrix.zeros(arena, 512, 32);
    Matrix sin = Matrix.zeros(arena, 512, 32);
    double bytes = out.data().byteSize();
    Runnable copy = () -> MemorySegment.copy(x.data(), 0, out.data(), 0, x.data().byteSize());
    add(COPY, 2 * bytes, COPY, copy, () -> {});
    addRowCase("RMSNorm", 2 * bytes, c -> c.rmsNorm(x, weight, 1e-6, out));
    addRowCase("SiLU times up", 3 * bytes, c -> c.siluMultiply(x, y, out));
    addRowCase("add", 3 * bytes, c -> c.add(x, y));
    addRowCase("softmax", 2 * bytes, c -> c.softmax(scores));
    addRowCase(
        "rope interleaved, 112 heads of 64",
        2 * bytes,
        c -> {
          c.rope(y, 112, 64, cos, sin, RopeLayout.INTERLEAVED);
        });
    addRowCase(
        "rope halves, 112 heads of 64",
        2 * bytes,
        c -> {
          c.rope(y, 112, 64, cos, sin, RopeLayout.HALVES);
        });
  }

  /// An operation of either set of threads.
  @FunctionalInterface
  private interface Work {
    void run(Compute compute);
  }

  private void addRowCase(String name, double bytes, Work work) {
    add(name, bytes, COPY, () -> work.run(one), () -> work.run(two));
  }

  private void measure(int rounds) {
    for (int round = -WARM_UP_ROUNDS; round < rounds; round++) {
      for (Case c : cases) {
        long cpu = ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
        c.one.run();
        cpu = ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime() - cpu;
        long clock = System.nanoTime();
        c.two.run();
        clock = System.nanoTime() - clock;
        if (round >= 0) {
          onOne.computeIfAbsent(c.name, _ -> new double[rounds])[round] = c.amount / cpu;
          onTwo.computeIfAbsent(c.name, _ -> new double[rounds])[round] = c.amount / clock;
        }
      }
    }
  }

  private void print(int rounds, PrintStream out) {
    out.printf(
        "%n%s, %d rounds; median, and half the range of the middle half%n",
        MathKernelSet.choose("vector").name(), rounds);
    out.println(
        blas.isPresent()
            ? "OpenBLAS multiplies the F32 weights in every case"
            : "OpenBLAS is not installed (libopenblas.so.0): not compared");
    header(out, "GFLOP/s", "of peak", "of BLAS");
    for (Case c : cases) {
      if (c.name.equals(COPY)) {
        header(out, "GB/s", "of copy", "");
      }
      boolean bytes = c.group.equals(COPY);
      String share = bytes ? ratio(onOne, c.name, COPY) : ratio(onOne, c.name, PEAK);
      String blasShare = bytes ? "" : ratio(onOne, c.name, c.group);
      boolean onlyOne = c.name.equals(COPY) || c.name.equals(PEAK);
      String twice = onlyOne ? "" : "%.1f".formatted(median(onTwo.get(c.name)));
      String twiceBlas = bytes || onlyOne ? "" : ratio(onTwo, c.name, c.group);
      double[] values = onOne.get(c.name);
      out.printf(
          "%-48s %8.1f %5.1f %8s %8s %10s %8s%n",
          c.name, median(values), spread(values), share, blasShare, twice, twiceBlas);
    }
    out.printf("(%.0f)%n", sink);
  }

  private static void header(PrintStream out, String unit, String share, String second) {
    out.printf(
        "%n%-48s %8s %5s %8s %8s %10s %8s%n", "", unit, "+-", share, second, "2 threads", second);
  }

  private static String ratio(Map<String, double[]> all, String name, String to) {
    double[] base = all.get(to);
    if (base == null) {
      return "";
    }
    double[] ratios = all.get(name).clone();
    for (int i = 0; i < ratios.length; i++) {
      ratios[i] /= base[i];
    }
    return "%.2f".formatted(median(ratios));
  }

  private static double median(double[] values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    return sorted[sorted.length / 2];
  }

  private static double spread(double[] values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    return (sorted[sorted.length * 3 / 4] - sorted[sorted.length / 4]) / 2;
  }
}
