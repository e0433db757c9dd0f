package smelt.formats.codec;

import java.io.PrintStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.Collection;
import java.util.Random;
import java.util.concurrent.TimeUnit;
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

/// How fast a matrix of the real model (an expert's, 2048 x 7168) is re-encoded on one core, beside
/// a copy of the same matrix in BF16 (28 MiB). All of it streams through memory: nothing is in a
/// cache at the start.
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(2)
public class TranscoderBench {

  private static final long ROWS = 2048;
  private static final long COLS = 7168;
  private static final long BF16_BYTES = 2 * ROWS * COLS;

  private static final Encoding BF16 = new Encoding.Plain(ElementType.BF16);
  private static final Encoding FP8 = Encoding.fp8Block(ScaleFormat.FLOAT);
  private static final Encoding INT8_BLOCK =
      new Encoding.Block(ElementType.I8, 128, 128, ElementType.F32, ScaleFormat.FLOAT);
  private static final Encoding INT8_CHANNEL =
      new Encoding.Channel(ElementType.I8, ElementType.F32);

  /// What is measured.
  public enum Work {
    MEMORY_COPY("memory copy"),
    BF16_TO_E4M3("BF16 to E4M3 128x128"),
    E4M3_TO_BF16("E4M3 128x128 to BF16"),
    BF16_TO_INT8("BF16 to INT8 channel"),
    E4M3_TO_INT8("E4M3 128x128 to INT8 channel"),
    E4M3_TO_INT8_BLOCK("E4M3 128x128 to INT8 128x128");

    private final String title;

    Work(String title) {
      this.title = title;
    }

    boolean readsE4m3() {
      return this == E4M3_TO_BF16 || this == E4M3_TO_INT8 || this == E4M3_TO_INT8_BLOCK;
    }

    Encoding target() {
      return switch (this) {
        case MEMORY_COPY, E4M3_TO_BF16 -> BF16;
        case BF16_TO_E4M3 -> FP8;
        case BF16_TO_INT8, E4M3_TO_INT8 -> INT8_CHANNEL;
        case E4M3_TO_INT8_BLOCK -> INT8_BLOCK;
      };
    }
  }

  @Param public Work work;

  @Param("vector")
  public String kernels;

  private Arena arena;
  private Kernels chosen;
  private Tile from;
  private Tile to;
  private MemorySegment scratch;

  @Setup
  @SuppressWarnings("MustBeClosed") // until close()
  public void makeMatrix() {
    arena = Arena.ofConfined();
    chosen = KernelSet.choose(kernels);
    Tile bf16 = tile(BF16);
    Random random = new Random(31);
    for (long i = 0; i < ROWS * COLS; i++) {
      float value = (float) (random.nextGaussian() * 0.02);
      bf16.codes().set(Layouts.U16, 2 * i, Scalars.encodeBf16(value));
    }
    Tile fp8 = tile(FP8);
    scratch = arena.allocate(Transcoder.scratchBytes(BF16, FP8, COLS), 64);
    Transcoder.transcode(chosen, bf16, fp8, scratch);
    from = work.readsE4m3() ? fp8 : bf16;
    to = tile(work.target());
    scratch = arena.allocate(Transcoder.scratchBytes(from.encoding(), to.encoding(), COLS), 64);
  }

  @TearDown
  public void close() {
    arena.close();
  }

  @Benchmark
  public MemorySegment run() {
    if (work == Work.MEMORY_COPY) {
      MemorySegment.copy(from.codes(), 0, to.codes(), 0, BF16_BYTES);
    } else {
      Transcoder.transcode(chosen, from, to, scratch);
    }
    return to.codes();
  }

  private Tile tile(Encoding encoding) {
    MemorySegment codes = arena.allocate(encoding.type().bytes(ROWS * COLS), 64);
    MemorySegment scales = arena.allocate(Float.BYTES * ROWS, 64);
    return new Tile(encoding, codes, 0, scales, 0, ROWS, COLS);
  }

  /// Runs all and prints one table.
  public static void main(String[] args) throws RunnerException {
    Collection<RunResult> results =
        new Runner(
                new OptionsBuilder()
                    .include(TranscoderBench.class.getName() + ".run")
                    .jvmArgsAppend("--add-modules", "jdk.incubator.vector")
                    .build())
            .run();
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    out.println();
    out.println(
        "2048 x 7168, one core; GB/s of the BF16 matrix (28 MiB); 99.9 % interval of 2 x 5 seconds");
    out.printf("%-30s %8s %8s %8s%n", "", "GB/s", "+-", "of copy");
    double copy = result(results, Work.MEMORY_COPY).getScore();
    for (Work work : Work.values()) {
      Result<?> result = result(results, work);
      double micros = result.getScore();
      double spread = 100 * result.getScoreError() / micros;
      out.printf(
          "%-30s %8.2f %7.0f%% %8.2f%n",
          work.title, BF16_BYTES / micros / 1e3, spread, copy / micros);
    }
  }

  private static Result<?> result(Collection<RunResult> results, Work work) {
    return results.stream()
        .filter(r -> r.getParams().getParam("work").equals(work.name()))
        .map(RunResult::getPrimaryResult)
        .findFirst()
        .orElseThrow();
  }
}
