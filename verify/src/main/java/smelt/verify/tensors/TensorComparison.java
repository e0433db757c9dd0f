package smelt.verify.tensors;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.LongConsumer;
import smelt.formats.BadInputException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.codec.Kernels;
import smelt.formats.source.ModelSource;
import smelt.verify.quality.TensorScore;

/// Compares every weight of a result, decoded, with the source's decoded weight of the same name.
///
/// Both models are read once, in pieces of about a million numbers, in the result's order. What it
/// finds depends neither on threads nor on memory: sums are FP64, over fixed runs of values that
/// are added up in a fixed order.
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
  private final OpenFiles sourceFiles;
  private final OpenFiles resultFiles;
  private final TensorScore[] scores;
  private final long memoryBytes;

  private int nextPair;
  private long nextPiece;
  private PairScore current;
  private boolean stopped;

  /// A piece of a pair, and where its part goes.
  private record Job(int index, Cut cut, long piece, PairScore score) {}

  private TensorComparison(
      Kernels kernels,
      LongConsumer progress,
      List<Pairing.Pair> pairs,
      OpenFiles sourceFiles,
      OpenFiles resultFiles) {
    this.kernels = kernels;
    this.progress = progress;
    this.pairs = pairs;
    this.sourceFiles = sourceFiles;
    this.resultFiles = resultFiles;
    this.scores = new TensorScore[pairs.size()];
    this.memoryBytes = memoryOfOne(pairs);
  }

  /// Native memory that a comparison of these checkpoints on so many threads takes; beside it, the
  /// scores themselves lie on the heap.
  ///
  /// @throws BadInputException as `run`
  public static long memoryBytes(Checkpoint source, Checkpoint result, int threads) {
    return Math.multiplyExact(threads, memoryOfOne(Pairing.of(source, result).pairs()));
  }

  /// Bytes that a comparison reads from both models: codes and scales of the weights that are in
  /// both. Scales that two pieces need are read, and counted by the progress, twice.
  public static long bytes(Checkpoint source, Checkpoint result) {
    return Pairing.of(source, result).pairs().stream()
        .mapToLong(pair -> pair.source().bytes() + pair.result().bytes())
        .reduce(0, Math::addExact);
  }

  private static long memoryOfOne(List<Pairing.Pair> pairs) {
    return pairs.stream()
        .mapToLong(pair -> PieceReader.memoryBytes(pair, Cut.of(pair)))
        .max()
        .orElse(0);
  }

  /// Compares all weights.
  ///
  /// @param threads at most so many; fewer when their memory would exceed `memoryBytes`
  /// @param progress told the bytes of each piece that was read, by any thread, one at a time
  /// @throws BadInputException naming every weight whose shape differs, and when `memoryBytes` does
  ///   not suffice for one thread
  /// @throws smelt.formats.UnsupportedException for an encoding that cannot be decoded
  public static Result run(
      Checkpoint source,
      ModelSource sourceModel,
      Checkpoint result,
      ModelSource resultModel,
      Kernels kernels,
      int threads,
      long memoryBytes,
      LongConsumer progress)
      throws IOException {
    Pairing pairing = Pairing.of(source, result);
    List<TensorScore> scores =
        scores(pairing.pairs(), sourceModel, resultModel, kernels, threads, memoryBytes, progress);
    return new Result(scores, pairing.missing(), pairing.added());
  }

  /// Compares some pairs, in their order.
  static List<TensorScore> scores(
      List<Pairing.Pair> pairs,
      ModelSource sourceModel,
      ModelSource resultModel,
      Kernels kernels,
      int threads,
      long memoryBytes,
      LongConsumer progress)
      throws IOException {
    try (OpenFiles sourceFiles = new OpenFiles(sourceModel);
        OpenFiles resultFiles = new OpenFiles(resultModel)) {
      TensorComparison comparison =
          new TensorComparison(kernels, progress, pairs, sourceFiles, resultFiles);
      comparison.run(comparison.affordable(threads, memoryBytes));
      return List.of(comparison.scores);
    }
  }

  private int affordable(int threads, long budget) {
    if (threads < 1) {
      throw new IllegalArgumentException(threads + " threads");
    }
    if (memoryBytes > budget) {
      throw new BadInputException(
          "comparing tensors",
          "a memory budget of " + budget + " bytes",
          "at least " + memoryBytes + " bytes for one thread",
          "allow more memory");
    }
    return memoryBytes == 0 ? 1 : (int) Math.min(threads, budget / memoryBytes);
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
    PieceReader.Outcome outcome = reader.read(pair, job.cut(), job.piece());
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
    sourceFiles.release(pairs.get(index).source());
    resultFiles.release(pairs.get(index).result());
  }

  /// The next piece in the order of the tensors; empty at the end, or when another thread failed.
  private synchronized Optional<Job> next() throws IOException {
    while (!stopped && nextPair < pairs.size()) {
      int index = nextPair;
      Cut cut = Cut.of(pairs.get(index));
      if (nextPiece == 0) {
        current = new PairScore(pairs.get(index), Math.toIntExact(cut.pieces()));
      }
      if (cut.pieces() == 0) {
        nextPair++;
        finish(index, current);
        continue;
      }
      long piece = nextPiece++;
      if (nextPiece == cut.pieces()) {
        nextPair++;
        nextPiece = 0;
      }
      return Optional.of(new Job(index, cut, piece, current));
    }
    return Optional.empty();
  }

  private synchronized void stop() {
    stopped = true;
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
