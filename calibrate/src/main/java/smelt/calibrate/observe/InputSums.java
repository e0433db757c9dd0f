package smelt.calibrate.observe;

import java.lang.foreign.MemorySegment;
import java.util.BitSet;
import java.util.Optional;
import java.util.stream.DoubleStream;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.Matrix;

/// Sums over what goes into a site. Each channel is summed in the order of the tokens, in F64, by
/// one thread at a time: the result depends neither on the number of threads nor on how many tokens
/// come at once.
final class InputSums {

  private final float[] low;
  private final float[] high;
  private final double[] squares;
  private final double[] heldOutSquares;
  private final long[] histogram;
  private long tokens;
  private long heldOut;

  /// @param histogram whether magnitudes are counted
  InputSums(int channels, boolean histogram) {
    low = new float[channels];
    high = new float[channels];
    squares = new double[channels];
    heldOutSquares = new double[channels];
    this.histogram = new long[histogram ? Histogram.BINS : 0];
  }

  /// Heap bytes for so many channels.
  static long bytes(long channels, boolean histogram) {
    long bins = histogram ? Long.BYTES * (long) Histogram.BINS : 0;
    return Math.addExact(Math.multiplyExact(channels, 2 * (Float.BYTES + Double.BYTES)), bins);
  }

  int channels() {
    return low.length;
  }

  /// Rows that were added, those held out too.
  long rows() {
    return tokens + heldOut;
  }

  /// Adds the rows of a matrix.
  ///
  /// @param held rows that are held out: squares of these are summed apart
  void add(Matrix x, BitSet held, Compute compute) {
    compute.eachStripe(x.cols(), (first, end) -> add(x, held, first, Math.toIntExact(end - first)));
    heldOut += held.cardinality();
    tokens += x.rows() - held.cardinality();
  }

  private void add(Matrix x, BitSet held, long first, int count) {
    int at = Math.toIntExact(first);
    float[] row = new float[count];
    long[] seen = new long[histogram.length];
    for (long token = 0; token < x.rows(); token++) {
      MemorySegment.copy(x.data(), Matrix.F32, x.at(token, first), row, 0, count);
      double[] sums = held.get(Math.toIntExact(token)) ? heldOutSquares : squares;
      for (int i = 0; i < count; i++) {
        low[at + i] = Math.min(low[at + i], row[i]);
        high[at + i] = Math.max(high[at + i], row[i]);
        sums[at + i] += (double) row[i] * row[i];
      }
      if (seen.length > 0) {
        for (float value : row) {
          seen[Histogram.bin(value)]++;
        }
      }
    }
    merge(seen);
  }

  private synchronized void merge(long[] seen) {
    for (int bin = 0; bin < seen.length; bin++) {
      histogram[bin] += seen[bin];
    }
  }

  /// Whether no number was NaN or infinite.
  boolean isFinite() {
    return DoubleStream.concat(DoubleStream.of(squares), DoubleStream.of(heldOutSquares))
        .allMatch(Double::isFinite);
  }

  InputStats stats() {
    float[] absmax = new float[channels()];
    float min = 0;
    float max = 0;
    for (int i = 0; i < absmax.length; i++) {
      min = Math.min(min, low[i]);
      max = Math.max(max, high[i]);
      absmax[i] = Math.max(high[i], -low[i]);
    }
    Optional<Histogram> counted =
        histogram.length == 0 ? Optional.empty() : Optional.of(new Histogram(histogram));
    return new InputStats(
        tokens,
        min,
        max,
        absmax,
        means(squares, tokens),
        counted,
        heldOut,
        means(heldOutSquares, heldOut));
  }

  private static float[] means(double[] sums, long tokens) {
    float[] means = new float[sums.length];
    for (int i = 0; i < means.length; i++) {
      means[i] = tokens == 0 ? 0 : (float) (sums[i] / tokens);
    }
    return means;
  }
}
