package smelt.calibrate.observe;

import java.lang.foreign.MemorySegment;
import java.util.Optional;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.Matrix;

/// Sums over what goes into a site. Each channel is summed in the order of the tokens, in F64, by
/// one thread at a time: the result depends neither on the number of threads nor on how many tokens
/// come at once.
final class InputSums {

  private final float[] low;
  private final float[] high;
  private final double[] squares;
  private final long[] histogram;
  private long tokens;

  /// @param histogram whether magnitudes are counted
  InputSums(int channels, boolean histogram) {
    low = new float[channels];
    high = new float[channels];
    squares = new double[channels];
    this.histogram = new long[histogram ? Histogram.BINS : 0];
  }

  /// Heap bytes for so many channels.
  static long bytes(long channels, boolean histogram) {
    long bins = histogram ? Long.BYTES * (long) Histogram.BINS : 0;
    return Math.addExact(Math.multiplyExact(channels, 2 * Float.BYTES + Double.BYTES), bins);
  }

  int channels() {
    return low.length;
  }

  long tokens() {
    return tokens;
  }

  /// Adds the rows of a matrix.
  void add(Matrix x, Compute compute) {
    compute.eachStripe(x.cols(), (first, end) -> add(x, first, Math.toIntExact(end - first)));
    tokens += x.rows();
  }

  private void add(Matrix x, long first, int count) {
    int at = Math.toIntExact(first);
    float[] row = new float[count];
    long[] seen = new long[histogram.length];
    for (long token = 0; token < x.rows(); token++) {
      MemorySegment.copy(x.data(), Matrix.F32, x.at(token, first), row, 0, count);
      for (int i = 0; i < count; i++) {
        low[at + i] = Math.min(low[at + i], row[i]);
        high[at + i] = Math.max(high[at + i], row[i]);
        squares[at + i] += (double) row[i] * row[i];
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
    for (double sum : squares) {
      if (!Double.isFinite(sum)) {
        return false;
      }
    }
    return true;
  }

  InputStats stats() {
    float[] absmax = new float[channels()];
    float[] meanSquare = new float[channels()];
    float min = 0;
    float max = 0;
    for (int i = 0; i < absmax.length; i++) {
      min = Math.min(min, low[i]);
      max = Math.max(max, high[i]);
      absmax[i] = Math.max(high[i], -low[i]);
      meanSquare[i] = tokens == 0 ? 0 : (float) (squares[i] / tokens);
    }
    Optional<Histogram> counted =
        histogram.length == 0 ? Optional.empty() : Optional.of(new Histogram(histogram));
    return new InputStats(tokens, min, max, absmax, meanSquare, counted);
  }
}
