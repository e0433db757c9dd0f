package smelt.converter.cli;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Map;
import java.util.stream.Collectors;
import smelt.calibrate.cost.ProductMeter;
import smelt.calibrate.cost.Rates;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.calibrate.model.ModelSpec;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Shard;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.KernelSet;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;

/// Measures for some seconds what this machine does: reads from the model's own files, as they
/// come, from memory where the system still holds them there, and forms products.
final class RateMeter {

  private static final long PIECE = 8L << 20;
  private static final double SECONDS = 1;

  private RateMeter() {}

  /// What `assumed` leaves open is measured.
  static Rates rates(Assumed assumed, Checkpoint checkpoint, ModelSource source, int threads)
      throws IOException {
    if (!assumed.isMeasured()) {
      return assumed.rates(0, 0);
    }
    double read = assumed.read().isPresent() ? 0 : read(checkpoint, source);
    double flops = assumed.flops().isPresent() ? 0 : flops(assumed, checkpoint, threads);
    return assumed.rates(read, flops);
  }

  /// Bytes read in a second.
  static double read(Checkpoint checkpoint, ModelSource source) throws IOException {
    long bytes = 0;
    long start = System.nanoTime();
    double seconds = 0;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment buffer = arena.allocate(PIECE);
      for (Shard shard : checkpoint.shards()) {
        try (ByteSource file = source.open(shard.file())) {
          for (long at = 0; at < file.size() && seconds < SECONDS; at += PIECE) {
            long count = Math.min(PIECE, file.size() - at);
            file.read(at, buffer.asSlice(0, count));
            bytes += count;
            seconds = (System.nanoTime() - start) / 1e9;
          }
        }
      }
    }
    return bytes / seconds;
  }

  private static double flops(Assumed assumed, Checkpoint checkpoint, int threads) {
    try (Compute compute =
        new Compute(MathKernelSet.choose("auto"), KernelSet.choose("auto"), threads)) {
      return new ProductMeter(ModelSpec.of(checkpoint), commonest(checkpoint), compute)
          .flops(assumed.text().tokens(), assumed.text().length());
    }
  }

  /// The encoding of most of the numbers.
  static Encoding commonest(Checkpoint checkpoint) {
    Map<Encoding, Long> numbers =
        checkpoint.weights().stream()
            .collect(
                Collectors.groupingBy(
                    Weight::encoding, Collectors.summingLong(weight -> weight.shape().elements())));
    return numbers.entrySet().stream().max(Map.Entry.comparingByValue()).orElseThrow().getKey();
  }
}
