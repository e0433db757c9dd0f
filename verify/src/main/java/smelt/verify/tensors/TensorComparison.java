package smelt.verify.tensors;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.LongConsumer;
import smelt.calibrate.smooth.Pair;
import smelt.formats.BadInputException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.codec.Kernels;
import smelt.verify.quality.TensorScore;

/// Compares every weight of a result, decoded, with the source's decoded weight of the same name.
/// Where factors have passed between the weights of a smoothed result, the source's numbers are
/// multiplied by them before, so what is found is what rounding has done: see [SourceFactors].
///
/// Both models are read once, in pieces of about a million numbers, in the result's order, but for
/// weights that tell factors of others, which come before these. What it finds depends neither on
/// threads nor on memory: sums are FP64, over fixed runs of values that are added up in a fixed
/// order.
public final class TensorComparison {

  /// What was found.
  ///
  /// @param tensors scores of the weights that are in both, in the result's order
  /// @param missing names of the source's weights that the result lacks, such as dropped MTP layers
  /// @param added names of the result's weights that the source lacks
  public record Result(List<TensorScore> tensors, List<String> missing, List<String> added) {
    public Result {
      tensors = List.copyOf(tensors);
      missing = List.copyOf(missing);
      added = List.copyOf(added);
    }
  }

  private final Kernels kernels;
  private final LongConsumer progress;
  private final List<Pairing.Pair> pairs;
  private final SmoothedPairs smoothed;
  private final List<Integer> order;
  private final OpenFiles sourceFiles;
  private final OpenFiles resultFiles;
  private final TensorScore[] scores;
  private final long memoryBytes;

  private int nextInOrder;
  private long nextPiece;
  private PairScore current;
  private boolean stopped;

  /// A piece of a pair, and where its part goes.
  private record Job(int index, Cut cut, long piece, PairScore score) {}

  private TensorComparison(
      Kernels kernels,
      LongConsumer progress,
      List<Pairing.Pair> pairs,
      SmoothedPairs smoothed,
      OpenFiles sourceFiles,
      OpenFiles resultFiles) {
    this.kernels = kernels;
    this.progress = progress;
    this.pairs = pairs;
    this.smoothed = smoothed;
    this.order = smoothed.order(pairs);
    this.sourceFiles = sourceFiles;
    this.resultFiles = resultFiles;
    this.scores = new TensorScore[pairs.size()];
    this.memoryBytes = memoryOfOne(pairs, smoothed);
  }

  /// Native memory that a comparison of these checkpoints on so many threads takes, and the heap
  /// that factors take; beside it, the scores themselves lie on the heap.
  ///
  /// @param kinds pairs between whose weights factors may have passed
  /// @throws BadInputException as `run`
  public static long memoryBytes(
      Checkpoint source, Checkpoint result, Set<Pair.Kind> kinds, int threads) {
    List<Pairing.Pair> pairs = Pairing.of(source, result).pairs();
    SmoothedPairs smoothed = SmoothedPairs.of(source, kinds, pairs);
    return Math.addExact(
        Math.multiplyExact(threads, memoryOfOne(pairs, smoothed)), smoothed.bytes(pairs));
  }

  /// Bytes that a comparison reads from both models: codes and scales of the weights that are in
  /// both. Scales that two pieces need are read, and counted by the progress, twice.
  public static long bytes(Checkpoint source, Checkpoint result) {
    return Pairing.of(source, result).pairs().stream()
        .mapToLong(pair -> pair.source().bytes() + pair.result().bytes())
        .reduce(0, Math::addExact);
  }

  private static long memoryOfOne(List<Pairing.Pair> pairs, SmoothedPairs smoothed) {
    return smoothed.bytesOfThread()
        + pairs.stream()
            .mapToLong(pair -> PieceReader.memoryBytes(pair, cut(pair, smoothed)))
            .max()
            .orElse(0);
  }

  private static Cut cut(Pairing.Pair pair, SmoothedPairs smoothed) {
    return Cut.of(pair, smoothed.touches(pair.source().name()));
  }

  /// Compares all weights.
  ///
  /// @param threads at most so many; fewer when their memory would exceed `memoryBytes`
  /// @param progress told the bytes of each piece that was read, by any thread, one at a time
  /// @throws BadInputException naming every weight whose shape differs, and when `memoryBytes` does
  ///   not suffice for one thread
  /// @throws smelt.formats.UnsupportedException for an encoding that cannot be decoded
  public static Result run(
      ComparedModels models, Kernels kernels, int threads, long memoryBytes, LongConsumer progress)
      throws IOException {
    Pairing pairing = Pairing.of(models.source(), models.result());
    SmoothedPairs smoothed = SmoothedPairs.of(models.source(), models.smoothed(), pairing.pairs());
    List<TensorScore> scores =
        scores(pairing.pairs(), smoothed, models, kernels, threads, memoryBytes, progress);
    return new Result(scores, pairing.missing(), pairing.added());
  }

  /// Compares some pairs of weights.
  ///
  /// @param smoothed knows the factors that earlier ones have told
  /// @return scores in the order of `pairs`
  static List<TensorScore> scores(
      List<Pairing.Pair> pairs,
      SmoothedPairs smoothed,
      ComparedModels models,
      Kernels kernels,
      int threads,
      long memoryBytes,
      LongConsumer progress)
      throws IOException {
    try (OpenFiles sourceFiles = new OpenFiles(models.sourceModel());
        OpenFiles resultFiles = new OpenFiles(models.resultModel())) {
      TensorComparison comparison =
          new TensorComparison(kernels, progress, pairs, smoothed, sourceFiles, resultFiles);
      comparison.run(comparison.affordable(threads, memoryBytes));
      return List.of(comparison.scores);
    }
  }

  private int affordable(int threads, long budget) {
    if (threads < 1) {
      throw new IllegalArgumentException(threads + " threads");
    }
    long factors = smoothed.bytes(pairs);
    long forThreads = budget - factors;
    if (memoryBytes > forThreads) {
      throw new BadInputException(
          "comparing tensors",
          "a memory budget of " + budget + " bytes",
          "at least " + (memoryBytes + factors) + " bytes for one thread",
          "allow more memory");
    }
    return memoryBytes == 0 ? 1 : (int) Math.min(threads, forThreads / memoryBytes);
  }

  private void run(int threads) throws IOException {
    for (Pairing.Pair pair : pairs) {
      sourceFiles.expect(pair.source());
      resultFiles.expect(pair.result());
    }
    List<Future<?>> futures = new ArrayList<>();
    try (ExecutorService pool = Executors.newFixedThreadPool(threads)) {
      for (int i = 0; i < threads; i++) {
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

  private void work() throws IOException {
    boolean done = false;
    try (Arena arena = Arena.ofConfined()) {
      PieceReader reader =
          new PieceReader(kernels, sourceFiles, resultFiles, arena.allocate(memoryBytes, 64));
      for (Optional<Job> job = next(); job.isPresent(); job = next()) {
        compare(reader, job.get());
      }
      done = true;
    } finally {
      if (!done) {
        stop();
      }
    }
  }

  private void compare(PieceReader reader, Job job) throws IOException {
    Pairing.Pair pair = pairs.get(job.index());
    if (!smoothed.await(pair.source().name())) {
      return;
    }
    PieceReader.Outcome outcome = reader.read(pair, job.cut(), job.piece(), smoothed.factors(pair));
    if (job.score().put(Math.toIntExact(job.piece()), outcome.part())) {
      finish(job.index(), job.score());
    }
    report(outcome.bytes());
  }

  private void finish(int index, PairScore score) throws IOException {
    TensorScore finished = score.score();
    synchronized (this) {
      scores[index] = finished;
    }
    smoothed.finished(pairs.get(index).source().name());
    sourceFiles.release(pairs.get(index).source());
    resultFiles.release(pairs.get(index).result());
  }

  /// The next piece in the order of the tensors; empty at the end, or when another thread failed.
  private synchronized Optional<Job> next() throws IOException {
    while (!stopped && nextInOrder < pairs.size()) {
      int index = order.get(nextInOrder);
      Cut cut = cut(pairs.get(index), smoothed);
      if (nextPiece == 0) {
        current = new PairScore(pairs.get(index), Math.toIntExact(cut.pieces()));
      }
      if (cut.pieces() == 0) {
        nextInOrder++;
        finish(index, current);
        continue;
      }
      long piece = nextPiece++;
      if (nextPiece == cut.pieces()) {
        nextInOrder++;
        nextPiece = 0;
      }
      return Optional.of(new Job(index, cut, piece, current));
    }
    return Optional.empty();
  }

  private void stop() {
    synchronized (this) {
      stopped = true;
    }
    smoothed.stop();
  }

  private void report(long bytes) {
    synchronized (progress) {
      progress.accept(bytes);
    }
  }

  private void await(Future<?> future) throws IOException {
    try {
      future.get();
    } catch (InterruptedException e) {
      stop();
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while comparing tensors", e);
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
