package smelt.verify.inference;

import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.OptionalDouble;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.TokenBatch;
import smelt.verify.stats.Limits;

/// Sums for a signal-to-noise ratio in dB, `10 log10(sum signal^2 / sum noise^2)`, in FP64, for
/// each sequence of text.
final class SqnrSums {

  private final SequenceSums signal = new SequenceSums();
  private final SequenceSums noise = new SequenceSums();

  /// Adds `a - base` as signal: what was added to `base`.
  ///
  /// @param batch whose rows `a` and `base` hold
  /// @param first number of its first sequence among all
  void addSignal(TokenBatch batch, int first, Matrix a, Matrix base) {
    add(signal, batch, first, a, base);
  }

  /// Adds all numbers of `a` as signal.
  void addSignal(TokenBatch batch, int first, Matrix a) {
    int cols = Math.toIntExact(a.cols());
    float[] row = new float[cols];
    forRows(
        batch,
        first,
        (sequence, at) -> {
          copy(a, at, row);
          double sum = 0;
          for (float number : row) {
            sum += (double) number * number;
          }
          signal.add(sequence, sum);
        });
  }

  /// Adds `a - b` as noise.
  void addNoise(TokenBatch batch, int first, Matrix a, Matrix b) {
    add(noise, batch, first, a, b);
  }

  private static void add(SequenceSums to, TokenBatch batch, int first, Matrix a, Matrix b) {
    int cols = Math.toIntExact(a.cols());
    float[] rowA = new float[cols];
    float[] rowB = new float[cols];
    forRows(
        batch,
        first,
        (sequence, row) -> {
          copy(a, row, rowA);
          copy(b, row, rowB);
          double sum = 0;
          for (int i = 0; i < cols; i++) {
            double difference = (double) rowA[i] - rowB[i];
            sum += difference * difference;
          }
          to.add(sequence, sum);
        });
  }

  private interface Row {
    void at(int sequence, long row);
  }

  private static void forRows(TokenBatch batch, int first, Row each) {
    for (int sequence = 0; sequence < batch.sequences(); sequence++) {
      long start = batch.first(sequence);
      for (long row = start; row < start + batch.length(sequence); row++) {
        each.at(first + sequence, row);
      }
    }
  }

  private static void copy(Matrix from, long row, float[] to) {
    MemorySegment.copy(from.data(), Matrix.F32, from.at(row, 0), to, 0, to.length);
  }

  /// Whether every number of the signal was finite.
  boolean signalIsFinite() {
    return Double.isFinite(signal.total());
  }

  /// The ratio: infinite where nothing differs, negative infinity where the noise is not finite.
  double db() {
    return db(noise.total() / signal.total(), noise.total());
  }

  /// Lower limit of the ratio when whole documents are drawn.
  ///
  /// @param documents for each sequence the number of its document
  OptionalDouble limitDb(List<Integer> documents, double confidence) {
    if (noise.total() == 0) {
      return OptionalDouble.of(Double.POSITIVE_INFINITY);
    }
    OptionalDouble share = Limits.upperRatio(noise.of(documents), signal.of(documents), confidence);
    return share.isPresent() ? OptionalDouble.of(db(share.getAsDouble(), 1)) : share;
  }

  private static double db(double share, double noise) {
    if (!Double.isFinite(noise)) {
      return Double.NEGATIVE_INFINITY;
    }
    return noise == 0 ? Double.POSITIVE_INFINITY : -10 * Math.log10(share);
  }
}
