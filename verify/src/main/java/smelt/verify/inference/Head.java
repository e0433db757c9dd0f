package smelt.verify.inference;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.LayerOptions;
import smelt.calibrate.model.ReferenceModel;
import smelt.verify.quality.TokenScores;

/// The end of both paths, behind the final norm: the head in tiles of the vocabulary's rows.
final class Head {

  private final ReferenceModel source;
  private final ReferenceModel result;
  private final Comparison.Settings settings;
  private final Comparison.Watcher watcher;

  Head(
      ReferenceModel source,
      ReferenceModel result,
      Comparison.Settings settings,
      Comparison.Watcher watcher) {
    this.source = source;
    this.result = result;
    this.settings = settings;
    this.watcher = watcher;
  }

  /// Bytes of the logits that are in memory at once.
  static long bytes(long tokens, int headRows) {
    return Matrix.bytes(Math.multiplyExact(3, tokens), headRows);
  }

  /// @param round with normed hidden states on both paths
  /// @param firstSequence number of the round's first sequence among all
  TokenScores scores(Round round, int firstSequence) throws IOException {
    Columns columns = Columns.of(round.source(), firstSequence);
    VocabularySums sums = new VocabularySums(columns.targets(), settings.eos());
    long vocabulary = source.spec().vocabulary();
    long tokens = round.source().tokens();
    try (Arena arena = Arena.ofShared();
        ExecutorService threads = Executors.newFixedThreadPool(settings.threads())) {
      Matrix logitsP = Matrix.zeros(arena, tokens, settings.headRows());
      Matrix logitsQ = Matrix.zeros(arena, 2 * tokens, settings.headRows());
      for (long first = 0; first < vocabulary; first += settings.headRows()) {
        watcher.check();
        long rows = Math.min(settings.headRows(), vocabulary - first);
        Matrix p = logitsP.columns(0, rows);
        Matrix q = logitsQ.columns(0, rows);
        source.logits(round.sourceHidden(), first, rows, LayerOptions.PLAIN, p);
        result.logits(round.bothHidden(), first, rows, settings.free(), q);
        add(sums, columns, first, p, q, threads);
      }
    }
    return columns.scores(sums);
  }

  private void add(
      VocabularySums sums, Columns columns, long first, Matrix p, Matrix q, ExecutorService threads)
      throws IOException {
    int parts = settings.threads();
    List<Callable<Void>> tasks = new ArrayList<>();
    for (int part = 0; part < parts; part++) {
      int from = (int) ((long) columns.size() * part / parts);
      int to = (int) ((long) columns.size() * (part + 1) / parts);
      tasks.add(() -> {
        VocabularySums.Scratch scratch = new VocabularySums.Scratch();
        for (int i = from; i < to; i++) {
          long row = columns.row(i);
          sums.add(i, first, p, row, q, row, p.rows() + row, scratch);
        }
        return null;
      });
    }
    try {
      for (Future<Void> task : threads.invokeAll(tasks)) {
        task.get();
      }
    } catch (ExecutionException e) {
      switch (e.getCause()) {
        case RuntimeException cause -> throw cause;
        case Error cause -> throw cause;
        case null, default -> throw new IllegalStateException(e);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new InterruptedIOException("interrupted in the head");
    }
  }
}
