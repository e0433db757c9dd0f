package smelt.formats.codec;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.EnumMap;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.Isolated;

/// Guards against a silent fall in speed: when the JIT stops inlining or boxes vectors, or when a
/// processor is slow on subnormal numbers, results stay right and a kernel becomes five to fifty
/// times slower. All kernels run in one method, as that is when it happens. The bound is 6 % of the
/// speed of a memory copy within the second-level cache, where kernels reach 15 % to 70 %, so that
/// a busy machine does not matter; of many rounds the best counts.
@Isolated
class KernelSpeedTest {

  private static final int ROWS = 128;
  private static final int COLS = 1024;
  private static final int VALUES = ROWS * COLS;
  private static final int ROUNDS = 40;
  private static final long PATIENCE_NANOS = 20_000_000_000L;
  private static final double SHARE = 0.06;

  @Test
  void everyVectorKernelReachesAFractionOfAMemoryCopy() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment in = arena.allocate(4L * VALUES, 64);
      MemorySegment out = arena.allocate(4L * VALUES, 64);
      MemorySegment scales = arena.allocate(4L * COLS, 64);
      fill(in, scales);
      Map<Codec, Double> shares = new EnumMap<>(Codec.class);
      long start = System.nanoTime();
      while (slowest(shares) <= SHARE && System.nanoTime() - start < PATIENCE_NANOS) {
        measure(in, scales, out).forEach((codec, share) -> shares.merge(codec, share, Math::max));
      }
      assertThat(shares).hasSize(Codec.values().length);
      assertThat(shares)
          .as("share of the speed of a memory copy")
          .allSatisfy((codec, share) -> assertThat(share).as("%s", codec).isGreaterThan(SHARE));
    }
  }

  /// Bytes read and written in a second, as a share of those of a copy.
  private static Map<Codec, Double> measure(
      MemorySegment in, MemorySegment scales, MemorySegment out) {
    Kernels kernels = KernelSet.choose("vector");
    long copyNanos = Long.MAX_VALUE;
    Map<Codec, Long> nanos = new EnumMap<>(Codec.class);
    for (int round = 0; round < ROUNDS; round++) {
      long start = System.nanoTime();
      MemorySegment.copy(in, 0, out, 0, 2L * VALUES);
      copyNanos = Math.min(copyNanos, System.nanoTime() - start);
      for (Codec codec : Codec.values()) {
        start = System.nanoTime();
        for (int row = 0; row < ROWS; row++) {
          codec.run(
              kernels,
              new Codec.Span(in, (long) row * COLS * codec.inWidth),
              new Codec.Span(scales, 0),
              128,
              new Codec.Span(out, (long) row * COLS * codec.outWidth),
              COLS);
        }
        nanos.merge(codec, System.nanoTime() - start, Math::min);
      }
    }
    double copyPerByte = copyNanos / (4.0 * VALUES);
    Map<Codec, Double> shares = new EnumMap<>(Codec.class);
    nanos.forEach((codec, best) -> {
      double bytes = (double) VALUES * (codec.inWidth + codec.outWidth);
      shares.put(codec, copyPerByte / (best / bytes));
    });
    return shares;
  }

  /// BF16 values that are also unremarkable F32, F16 and eight-bit codes: a NaN among the E4M3
  /// codes would make narrow vectors leave the rest of its block to the scalar code.
  private static void fill(MemorySegment in, MemorySegment scales) {
    Random random = new Random(29);
    for (long i = 0; i < 2L * VALUES; i++) {
      float value = (float) random.nextGaussian() * 0.02f;
      short bits = Scalars.encodeBf16(value);
      in.set(Layouts.U16, 2 * i, (short) ((bits & 0x7F) == 0x7F ? bits - 1 : bits));
    }
    for (long i = 0; i < COLS; i++) {
      scales.set(Layouts.F32, 4 * i, 0.0002f);
    }
  }

  private static double slowest(Map<Codec, Double> shares) {
    return shares.values().stream().mapToDouble(Double::doubleValue).min().orElse(0);
  }
}
