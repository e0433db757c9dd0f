package smelt.calibrate.sensitivity;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.LayerOptions;
import smelt.calibrate.model.ReferenceModel;
import smelt.calibrate.model.TokenBatch;
import smelt.calibrate.model.WeightRounding;

/// The plain path and several probes through a model, side by side.
///
/// The batch holds the text once for the plain path and once for each probe, which come in the
/// order of their first layers. A probe is as the plain path until then, so its rows are copied
/// from there and go through its layer by themselves, with rounded weights. Behind its last layer
/// it goes on with all others that are not rounding, which share what is read.
final class ProbeRun {

  /// Rows of the vocabulary at once, a multiple of the rows of blocks.
  static final int HEAD_ROWS = 1024;

  private final ReferenceModel model;
  private final List<int[]> texts;
  private final List<Probe> probes;
  private final MemorySegment rounding;
  private final int threads;

  /// @param probes in the order of their first layers, and all of one layer alike: each rounds in
  ///   one layer only, or there is one probe
  /// @param rounding memory to round in
  ProbeRun(
      ReferenceModel model,
      List<int[]> texts,
      List<Probe> probes,
      MemorySegment rounding,
      int threads) {
    this.model = model;
    this.texts = texts;
    this.probes = probes;
    this.rounding = rounding;
    this.threads = threads;
  }

  /// Bytes of hidden states, logits and sums.
  static long bytes(long tokens, int probes, int hidden, int vocabulary) {
    long head = Math.min(HEAD_ROWS, vocabulary);
    long rows = Math.multiplyExact(1L + probes, tokens);
    return Matrix.bytes(rows, hidden)
        + Matrix.bytes(2 * tokens, head)
        + Math.multiplyExact(rows, Divergence.BYTES_PER_TOKEN);
  }

  /// The mean divergence of each probe from the plain path.
  double[] divergences() throws IOException {
    List<int[]> all = new ArrayList<>();
    Collections.nCopies(1 + probes.size(), texts).forEach(all::addAll);
    try (Arena arena = Arena.ofShared()) {
      TokenBatch batch = TokenBatch.of(arena, all, model.spec().hidden());
      model.embed(part(batch, 0, 1));
      int begun = 0;
      for (int layer = 0; layer < model.spec().layerCount(); layer++) {
        begun = advance(batch, layer, begun);
      }
      for (int p = begun; p < probes.size(); p++) {
        copy(batch, p);
      }
      model.norm(batch);
      return head(batch, arena);
    }
  }

  private TokenBatch part(TokenBatch batch, int first, int end) {
    return batch.part(first * texts.size(), end * texts.size());
  }

  private void copy(TokenBatch batch, int probe) {
    Matrix plain = part(batch, 0, 1).hidden();
    Matrix own = part(batch, 1 + probe, 2 + probe).hidden();
    MemorySegment.copy(
        plain.data(),
        plain.offset(),
        own.data(),
        own.offset(),
        Matrix.bytes(plain.rows(), plain.cols()));
  }

  /// Runs a layer for the plain path and all probes that have begun.
  ///
  /// @return how many have begun then
  private int advance(TokenBatch batch, int layer, int begun) throws IOException {
    int now = begun;
    while (now < probes.size() && probes.get(now).first() <= layer) {
      copy(batch, now);
      now++;
    }
    int plain = 1;
    while (plain <= begun && !probes.get(plain - 1).isAt(layer)) {
      plain++;
    }
    for (int p = plain - 1; p < now; p++) {
      model.layer(layer, part(batch, 1 + p, 2 + p), options(probes.get(p)));
    }
    model.layer(layer, part(batch, 0, plain), LayerOptions.PLAIN);
    return now;
  }

  private LayerOptions options(Probe probe) {
    return LayerOptions.rounded(new WeightRounding(probe.rounding(), rounding));
  }

  private double[] head(TokenBatch batch, Arena arena) throws IOException {
    Matrix plain = part(batch, 0, 1).hidden();
    int tokens = Math.toIntExact(plain.rows());
    int vocabulary = model.spec().vocabulary();
    int layers = model.spec().layerCount();
    List<Divergence> sums = probes.stream().map(_ -> new Divergence(tokens)).toList();
    Matrix logitsP = Matrix.zeros(arena, tokens, Math.min(HEAD_ROWS, vocabulary));
    Matrix logitsQ = Matrix.zeros(arena, tokens, logitsP.cols());
    try (ExecutorService pool = Executors.newFixedThreadPool(threads)) {
      for (int first = 0; first < vocabulary; first += HEAD_ROWS) {
        int rows = Math.min(HEAD_ROWS, vocabulary - first);
        Matrix p = logitsP.columns(0, rows);
        Matrix q = logitsQ.columns(0, rows);
        model.logits(plain, first, rows, LayerOptions.PLAIN, p);
        for (int i = 0; i < probes.size(); i++) {
          Probe probe = probes.get(i);
          LayerOptions options = probe.isAt(layers) ? options(probe) : LayerOptions.PLAIN;
          model.logits(part(batch, 1 + i, 2 + i).hidden(), first, rows, options, q);
          add(sums.get(i), p, q, pool);
        }
      }
    }
    return sums.stream().mapToDouble(Divergence::mean).toArray();
  }

  private void add(Divergence sums, Matrix p, Matrix q, ExecutorService pool) throws IOException {
    List<Callable<Void>> tasks = new ArrayList<>();
    int tokens = Math.toIntExact(p.rows());
    for (int part = 0; part < threads; part++) {
      int from = (int) ((long) tokens * part / threads);
      int to = (int) ((long) tokens * (part + 1) / threads);
      tasks.add(() -> {
        sums.add(p, q, from, to);
        return null;
      });
    }
    try {
      for (Future<Void> task : pool.invokeAll(tasks)) {
        task.get();
      }
    } catch (ExecutionException e) {
      throw new IllegalStateException("a divergence failed", e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new InterruptedIOException("interrupted in the head");
    }
  }
}
