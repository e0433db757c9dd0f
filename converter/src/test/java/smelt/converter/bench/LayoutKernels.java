package smelt.converter.bench;

import java.io.PrintStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Random;
import smelt.formats.ElementType;
import smelt.formats.checkpoint.Projection;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.KernelSet;
import smelt.formats.codec.Kernels;
import smelt.formats.codec.Tile;
import smelt.formats.codec.Transcoder;
import smelt.formats.experts.ExpertFormat;
import smelt.formats.experts.ExpertPacker;
import smelt.formats.ggml.BlockKernels;
import smelt.formats.ggml.BlockQuantizer;
import smelt.formats.ggml.GgmlLibrary;
import smelt.formats.gguf.GgmlType;

/// How fast an expert's matrix (2048 x 7168) goes into each layout on one core, beside a memory
/// copy and beside llama.cpp's own quantizer. All cases take turns in one JVM; times are of the
/// thread's processor time, rates count two bytes a weight.
final class LayoutKernels implements AutoCloseable {

  private static final long ROWS = 2048;
  private static final long COLS = 7168;
  private static final double BYTES = 2.0 * ROWS * COLS;
  private static final int WARM_UP = 2;

  static final List<GgmlType> TYPES =
      List.of(GgmlType.Q8_0, GgmlType.Q4_0, GgmlType.Q4_K, GgmlType.Q5_K, GgmlType.Q6_K);

  private record Case(String name, Runnable own, Optional<Runnable> other) {}

  private final Arena arena = Arena.ofShared();
  private final Kernels codec = KernelSet.choose("auto");
  private final BlockKernels blocks = BlockKernels.choose("auto");
  private final Optional<GgmlLibrary> ggml = GgmlLibrary.installed().map(GgmlLibrary::new);
  private final List<Case> cases = new ArrayList<>();
  private final MemorySegment f32 = arena.allocate(4 * ROWS * COLS, 64);
  private final MemorySegment out = arena.allocate(4 * ROWS * COLS, 64);
  private final MemorySegment codes = arena.allocate(ROWS * COLS, 64);
  private final MemorySegment scales = arena.allocate(4 * ROWS, 64);

  LayoutKernels() {
    Random random = new Random(5);
    MemorySegment bf16 = arena.allocate(2 * ROWS * COLS, 64);
    for (long i = 0; i < ROWS * COLS; i++) {
      int bits = Float.floatToRawIntBits((float) (0.02 * random.nextGaussian())) & 0xFFFF0000;
      f32.setAtIndex(ValueLayout.JAVA_FLOAT, i, Float.intBitsToFloat(bits));
      bf16.setAtIndex(ValueLayout.JAVA_SHORT, i, (short) (bits >>> 16));
    }
    MemorySegment copy = out.asSlice(0, bf16.byteSize());
    cases.add(new Case("memory copy", () -> copy.copyFrom(bf16), Optional.empty()));
    Tile tile = Tile.plain(ElementType.BF16, bf16, 0, ROWS, COLS);
    experts(tile, ExpertFormat.AMXINT8, ExpertPacker.Rule.EXACT, "`kt-amx-int8`");
    experts(tile, ExpertFormat.AMXINT4, ExpertPacker.Rule.EXACT, "`kt-amx-int4`");
    experts(tile, ExpertFormat.AMXINT4, ExpertPacker.Rule.UPSTREAM, "`kt-amx-int4`, upstream");
    experts(tile, ExpertFormat.MOE_INT8, ExpertPacker.Rule.EXACT, "`kt-aocl-int8`");
    groups(tile);
    TYPES.forEach(this::blocks);
  }

  private void experts(Tile tile, ExpertFormat format, ExpertPacker.Rule rule, String name) {
    ExpertPacker packer = new ExpertPacker(format, rule);
    MemorySegment scratch =
        arena.allocate(ExpertPacker.scratchBytes(tile.encoding(), tile.cols()), 64);
    ExpertPacker.Region whole = new ExpertPacker.Region(0, ROWS, 0, COLS);
    Runnable own =
        () -> {
          packer.quantize(codec, tile, whole, codes, scales, scratch);
          packer.pack(Projection.UP, codes, 0, COLS, whole, out, 0);
        };
    cases.add(new Case(name, own, Optional.empty()));
  }

  private void groups(Tile tile) {
    Encoding int4 = new Encoding.Int4(32, ElementType.BF16, -7);
    MemorySegment groups = arena.allocate(2 * ROWS * COLS / 32, 64);
    MemorySegment scratch =
        arena.allocate(Transcoder.scratchBytes(tile.encoding(), int4, tile.cols()), 64);
    Tile to = new Tile(int4, codes, 0, groups, 0, ROWS, COLS);
    cases.add(
        new Case(
            "`rawint4`", () -> Transcoder.transcode(codec, tile, to, scratch), Optional.empty()));
  }

  private void blocks(GgmlType type) {
    Runnable own =
        () ->
            BlockQuantizer.quantize(
                blocks, type, f32, 0, ROWS, COLS, MemorySegment.NULL, 0, out, 0);
    Optional<Runnable> other =
        ggml.map(library -> () -> library.quantize(type, f32, ROWS, COLS, MemorySegment.NULL, out));
    cases.add(new Case(type + " of F32", own, other));
  }

  /// Runs all cases by turns and prints the table.
  void table(PrintStream print, int rounds) {
    double[][] own = new double[cases.size()][rounds];
    double[][] other = new double[cases.size()][rounds];
    for (int round = -WARM_UP; round < rounds; round++) {
      for (int i = 0; i < cases.size(); i++) {
        double ownRate = rate(cases.get(i).own());
        double otherRate = cases.get(i).other().map(LayoutKernels::rate).orElse(Double.NaN);
        if (round >= 0) {
          own[i][round] = ownRate;
          other[i][round] = otherRate;
        }
      }
    }
    print.println("| layout | GB/s a core | of a copy | llama.cpp's quantizer | times it |");
    print.println("|---|---:|---:|---:|---:|");
    for (int i = 0; i < cases.size(); i++) {
      boolean compared = cases.get(i).other().isPresent();
      print.printf(
          Locale.ROOT,
          "| %s | %.3f | %.3f | %s | %s |%n",
          cases.get(i).name(),
          median(own[i]),
          ratio(own[i], own[0]),
          compared ? String.format(Locale.ROOT, "%.3f", median(other[i])) : "",
          compared ? String.format(Locale.ROOT, "%.1f", ratio(own[i], other[i])) : "");
    }
  }

  private static double rate(Runnable work) {
    long cpu = ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
    work.run();
    return BYTES / (ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime() - cpu);
  }

  static double median(double[] values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    return (sorted[(sorted.length - 1) / 2] + sorted[sorted.length / 2]) / 2;
  }

  private static double ratio(double[] values, double[] of) {
    double[] ratios = new double[values.length];
    for (int i = 0; i < values.length; i++) {
      ratios[i] = values[i] / of[i];
    }
    return median(ratios);
  }

  /// Seconds that llama.cpp's quantizer takes for so many weights on two threads, from memory to
  /// memory; empty where it is not installed.
  Optional<Double> seconds(GgmlType type, long weights) throws InterruptedException {
    if (ggml.isEmpty()) {
      return Optional.empty();
    }
    long half = ROWS / 2;
    long passes = Math.ceilDiv(weights, ROWS * COLS);
    List<Thread> threads = new ArrayList<>();
    long start = System.nanoTime();
    for (int t = 0; t < 2; t++) {
      MemorySegment in = f32.asSlice(t * half * COLS * 4, half * COLS * 4);
      MemorySegment to = out.asSlice(t * half * COLS * 4, half * COLS * 4);
      threads.add(
          Thread.ofPlatform()
              .start(() -> {
                for (long pass = 0; pass < passes; pass++) {
                  ggml.get().quantize(type, in, half, COLS, MemorySegment.NULL, to);
                }
              }));
    }
    for (Thread thread : threads) {
      thread.join();
    }
    double seconds = (System.nanoTime() - start) / 1e9;
    return Optional.of(seconds * weights / (passes * ROWS * COLS));
  }

  @Override
  public void close() {
    arena.close();
  }
}
