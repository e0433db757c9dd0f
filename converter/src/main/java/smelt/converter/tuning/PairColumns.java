package smelt.converter.tuning;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import smelt.calibrate.model.WeightStream;
import smelt.calibrate.smooth.ColumnStats;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Kernels;
import smelt.formats.source.ModelSource;

/// Reads the columns of a pair's weights, each weight once, by several threads where there are
/// many, as the experts of a layer are. What is found does not depend on their number.
final class PairColumns {

  /// A thread for each so many weights.
  private static final int WEIGHTS_OF_THREAD = 8;

  private static final long BUFFER = 1L << 20;

  private final ModelSource source;
  private final Kernels kernels;
  private final List<Weight> weights;
  private final ColumnStats[] found;
  private final AtomicInteger next = new AtomicInteger();

  private PairColumns(ModelSource source, Kernels kernels, List<Weight> weights) {
    this.source = source;
    this.kernels = kernels;
    this.weights = weights;
    found = new ColumnStats[weights.size()];
  }

  /// @param threads at most so many
  /// @return in the order of `weights`
  static List<ColumnStats> read(
      ModelSource source, Kernels kernels, List<Weight> weights, int threads) throws IOException {
    PairColumns columns = new PairColumns(source, kernels, weights);
    int readers = readers(weights.size(), threads);
    if (readers == 1) {
      columns.work();
    } else {
      columns.work(readers);
    }
    return Arrays.asList(columns.found);
  }

  private static int readers(int weights, int threads) {
    return Math.clamp(Math.ceilDiv(weights, WEIGHTS_OF_THREAD), 1, threads);
  }

  /// Native memory at most.
  static long bufferBytes(List<Weight> weights, int threads) {
    return Math.multiplyExact(readers(weights.size(), threads), bufferBytes(weights));
  }

  private static long bufferBytes(List<Weight> weights) {
    return Math.max(BUFFER, weights.stream().mapToLong(WeightStream::leastBuffer).max().orElse(0));
  }

  private void work() throws IOException {
    int sampled = ColumnStats.sampledRows(weights.size());
    boolean done = false;
    try (Arena arena = Arena.ofConfined();
        WeightStream stream = new WeightStream(source, arena.allocate(bufferBytes(weights), 64))) {
      for (int i = next.getAndIncrement(); i < found.length; i = next.getAndIncrement()) {
        found[i] = ColumnStats.read(weights.get(i), stream, kernels, sampled);
      }
      done = true;
    } finally {
      if (!done) {
        next.set(found.length);
      }
    }
  }

  private void work(int readers) throws IOException {
    List<Future<?>> futures = new ArrayList<>();
    try (ExecutorService pool = Executors.newFixedThreadPool(readers)) {
      for (int i = 0; i < readers; i++) {
        futures.add(
            pool.submit(() -> {
              work();
              return null;
            }));
      }
      for (Future<?> future : futures) {
        await(future);
      }
    }
  }

  private static void await(Future<?> future) throws IOException {
    try {
      future.get();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while reading the columns of a pair", e);
    } catch (ExecutionException e) {
      switch (e.getCause()) {
        case IOException io -> throw io;
        case RuntimeException runtime -> throw runtime;
        case Error error -> throw error;
        case null, default -> throw new IllegalStateException(e);
      }
    }
  }
}
