package smelt.calibrate.math;

import java.io.PrintStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.Collection;
import java.util.Locale;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;
import org.openjdk.jmh.results.Result;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import smelt.formats.ElementType;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.KernelSet;
import smelt.formats.codec.Kernels;
import smelt.formats.codec.ScaleFormat;
import smelt.formats.codec.Tile;
import smelt.formats.codec.Transcoder;

/// How fast the operations of the reference model are, beside what the machine can: a loop of fused
/// multiply-adds that stays in registers, and OpenBLAS where it is installed.
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 4, time = 500, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 5, time = 500, timeUnit = TimeUnit.MILLISECONDS)
@Fork(1)
public class MathBench {

  private static final int FMAS = 1 << 20;
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;

  /// What is measured. Products are `tokens x cols` by `rows x cols`, transposed.
  public enum Work {
    PEAK("multiply-add in registers", 0, 0, 0),
    OPENBLAS_512("OpenBLAS sgemm 512x2048x2048", 512, 2048, 2048),
    F32_512("F32 weights 512x2048x2048", 512, 2048, 2048),
    BF16_512("BF16 weights 512x2048x2048", 512, 2048, 2048),
    FP8_512("E4M3 block weights 512x2048x2048", 512, 2048, 2048),
    INT8_512("INT8 channel weights 512x2048x2048", 512, 2048, 2048),
    OPENBLAS_16("OpenBLAS sgemm 16x2048x7168", 16, 2048, 7168),
    FP8_16("E4M3 block weights 16x2048x7168", 16, 2048, 7168),
    OPENBLAS_1("OpenBLAS sgemm 1x2048x7168", 1, 2048, 7168),
    FP8_1("E4M3 block weights 1x2048x7168", 1, 2048, 7168),
    ATTENTION("attention, 1024 tokens, 8 heads 192/128", 0, 0, 0),
    COPY("memory copy 512x7168", 512, 0, 7168),
    RMS_NORM("RMSNorm 512x7168", 512, 0, 7168),
    SOFTMAX("softmax 512x7168", 512, 0, 7168),
    SILU("SiLU times up 512x7168", 512, 0, 7168),
    ROPE("RoPE 512x7168", 512, 0, 7168);

    private final String title;
    private final int tokens;
    private final int rows;
    private final int cols;

    Work(String title, int tokens, int rows, int cols) {
      this.title = title;
      this.tokens = tokens;
      this.rows = rows;
      this.cols = cols;
    }

    private boolean isProduct() {
      return rows > 0;
    }

    private boolean isOpenBlas() {
      return name().startsWith("OPENBLAS");
    }

    /// Floating point operations of one call; 0 where bytes are counted.
    private double flops() {
      if (this == PEAK) {
        return 2.0 * FMAS * 12 * SPECIES.length();
      }
      if (this == ATTENTION) {
        return 2.0 * 8 * (192 + 128) * (1024.0 * 1025 / 2);
      }
      return 2.0 * tokens * rows * cols;
    }

    /// Bytes that are read and written.
    private double bytes() {
      double matrix = 4.0 * tokens * cols;
      return this == SILU ? 3 * matrix : 2 * matrix;
    }

    private Encoding encoding() {
      return switch (this) {
        case BF16_512 -> new Encoding.Plain(ElementType.BF16);
        case FP8_512, FP8_16, FP8_1 -> Encoding.fp8Block(ScaleFormat.FLOAT);
        case INT8_512 -> new Encoding.Channel(ElementType.I8, ElementType.F32);
        default -> new Encoding.Plain(ElementType.F32);
      };
    }
  }

  @Param public Work work;

  @Param({"1", "2"})
  public int threads;

  private Arena arena;
  private Compute compute;
  private Matrix x;
  private Matrix out;
  private Matrix weight;
  private Tile tile;
  private Matrix keys;
  private Matrix values;
  private Matrix cos;
  private Matrix sin;
  private Matrix ones;
  private OpenBlas blas;

  @Setup
  @SuppressWarnings("MustBeClosed") // until close()
  public void make() {
    arena = Arena.ofShared();
    Kernels codec = KernelSet.choose("vector");
    compute = new Compute(MathKernelSet.choose("vector"), codec, threads);
    blas = work.isOpenBlas() ? OpenBlas.open(arena, threads).orElse(null) : null;
    if (work == Work.ATTENTION) {
      x = random(1024, 8 * 192);
      keys = random(1024, 8 * 192);
      values = random(1024, 8 * 128);
      out = random(1024, 8 * 128);
    } else if (work.isProduct()) {
      x = random(work.tokens, work.cols);
      weight = random(work.rows, work.cols);
      out = random(work.tokens, work.rows);
      encode(codec);
    } else if (work != Work.PEAK) {
      x = random(work.tokens, work.cols);
      out = random(work.tokens, work.cols);
      ones = random(1, work.cols);
      cos = random(work.tokens, work.cols / 2);
      sin = random(work.tokens, work.cols / 2);
    }
  }

  private void encode(Kernels codec) {
    Tile plain = Tile.plain(ElementType.F32, weight.data(), 0, work.rows, work.cols);
    Encoding to = work.encoding();
    long weights = (long) work.rows * work.cols;
    tile =
        new Tile(
            to,
            arena.allocate(to.type().bytes(weights), 64),
            0,
            arena.allocate(Float.BYTES * weights / 128 + 64, 64),
            0,
            work.rows,
            work.cols);
    MemorySegment scratch =
        arena.allocate(Transcoder.scratchBytes(plain.encoding(), to, work.cols), 64);
    Transcoder.transcode(codec, plain, tile, scratch);
  }

  private Matrix random(int rows, int cols) {
    Random random = new Random(29);
    Matrix matrix = Matrix.zeros(arena, rows, cols);
    for (long i = 0; i < (long) rows * cols; i++) {
      matrix.data().set(Matrix.F32, i * Float.BYTES, (float) random.nextGaussian() * 0.1f);
    }
    return matrix;
  }

  @TearDown
  public void close() {
    compute.close();
    arena.close();
  }

  @Benchmark
  public Object run() {
    switch (work) {
      case PEAK -> {
        return peak();
      }
      case OPENBLAS_512, OPENBLAS_16, OPENBLAS_1 -> {
        if (blas != null) {
          blas.multiply(x, weight, out);
        }
      }
      case F32_512, BF16_512, FP8_512, INT8_512, FP8_16, FP8_1 -> compute.multiply(x, tile, out);
      case ATTENTION ->
          compute.attention(new AttentionShape(8, 8, 192, 128, 0.07f), x, keys, values, out);
      case COPY -> out.data().copyFrom(x.data());
      case RMS_NORM -> compute.rmsNorm(x, ones, 1e-6, out);
      case SOFTMAX -> compute.softmax(x);
      case SILU -> compute.siluMultiply(x, out, out);
      case ROPE -> compute.rope(x, 1, work.cols, cos, sin, RopeLayout.INTERLEAVED);
    }
    return out;
  }

  /// Twelve sums at once: as many as hide the latency of the operation.
  private static float peak() {
    FloatVector f = FloatVector.broadcast(SPECIES, 0.999f);
    FloatVector a = f;
    FloatVector b = f;
    FloatVector c = f;
    FloatVector d = f;
    FloatVector e = f;
    FloatVector g = f;
    FloatVector h = f;
    FloatVector i = f;
    FloatVector j = f;
    FloatVector k = f;
    FloatVector l = f;
    FloatVector m = f;
    for (int n = 0; n < FMAS; n++) {
      a = a.fma(f, f);
      b = b.fma(f, f);
      c = c.fma(f, f);
      d = d.fma(f, f);
      e = e.fma(f, f);
      g = g.fma(f, f);
      h = h.fma(f, f);
      i = i.fma(f, f);
      j = j.fma(f, f);
      k = k.fma(f, f);
      l = l.fma(f, f);
      m = m.fma(f, f);
    }
    return a.add(b).add(c).add(d).add(e).add(g).add(h).add(i).add(j).add(k).add(l).add(m).lane(0);
  }

  /// Runs all and prints one table.
  public static void main(String[] args) throws RunnerException {
    Collection<RunResult> results =
        new Runner(
                new OptionsBuilder()
                    .include(MathBench.class.getName() + ".run")
                    .jvmArgsAppend(
                        "--add-modules",
                        "jdk.incubator.vector",
                        "--enable-native-access=ALL-UNNAMED")
                    .build())
            .run();
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    boolean installed = OpenBlas.isInstalled();
    out.println();
    out.println("| operation | 1 thread | 2 threads | unit | of peak | of OpenBLAS |");
    out.println("|---|---:|---:|---|---:|---:|");
    double peak = rate(results, Work.PEAK, 1);
    for (Work work : Work.values()) {
      if (work.isOpenBlas() && !installed) {
        out.printf(Locale.ROOT, "| %s | not installed | | | | |%n", work.title);
        continue;
      }
      boolean counts = work.flops() > 0;
      out.printf(
          Locale.ROOT,
          "| %s | %.1f | %s | %s | %s | %s |%n",
          work.title,
          rate(results, work, 1),
          work == Work.PEAK || work == Work.COPY
              ? ""
              : String.format(Locale.ROOT, "%.1f", rate(results, work, 2)),
          counts ? "GFLOP/s" : "GB/s",
          counts ? String.format(Locale.ROOT, "%.2f", rate(results, work, 1) / peak) : "",
          installed && work.isProduct() && !work.isOpenBlas()
              ? String.format(
                  Locale.ROOT, "%.2f", rate(results, work, 1) / rate(results, peer(work), 1))
              : "");
    }
  }

  private static Work peer(Work work) {
    return switch (work.tokens) {
      case 1 -> Work.OPENBLAS_1;
      case 16 -> Work.OPENBLAS_16;
      default -> Work.OPENBLAS_512;
    };
  }

  /// GFLOP/s or GB/s.
  private static double rate(Collection<RunResult> results, Work work, int threads) {
    Result<?> result =
        results.stream()
            .filter(r ->
                r.getParams().getParam("work").equals(work.name())
                    && r.getParams().getParam("threads").equals(Integer.toString(threads)))
            .findFirst()
            .orElseThrow()
            .getPrimaryResult();
    double amount = work.flops() > 0 ? work.flops() : work.bytes();
    return amount / result.getScore() / 1000;
  }
}
