package smelt.calibrate.smooth;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import smelt.calibrate.model.WeightStream;
import smelt.formats.BadInputException;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Kernels;
import smelt.formats.codec.Tile;
import smelt.formats.codec.TileDecoder;

/// What the columns of a weight are like, from one reading of it: the largest magnitude and the sum
/// of squares of each, and some whole rows, spread evenly, to see which columns make a row's
/// largest magnitude.
public final class ColumnStats {

  private static final int SAMPLED_OF_PAIR = 64;
  private static final int LEAST_SAMPLED = 2;

  private final Weight weight;
  private final float[] absmax;
  private final double[] sumSquares;
  private final float[][] sample;

  private ColumnStats(Weight weight, float[] absmax, double[] sumSquares, float[][] sample) {
    this.weight = weight;
    this.absmax = absmax;
    this.sumSquares = sumSquares;
    this.sample = sample;
  }

  /// Rows to keep of each consumer of a pair that has so many of them.
  public static int sampledRows(int consumers) {
    return Math.max(LEAST_SAMPLED, SAMPLED_OF_PAIR / Math.max(1, consumers));
  }

  /// Heap memory of the stats of a weight of so many columns.
  public static long bytes(long cols, int sampled) {
    long perColumn = Float.BYTES * (1L + sampled) + Double.BYTES;
    return Math.multiplyExact(cols, perColumn);
  }

  /// Reads a weight once, through the stream's buffer. Beside the result it takes memory for one
  /// row, on the heap and off it, where the codec's kernels are fast.
  ///
  /// @throws BadInputException for numbers that are NaN or infinite
  public static ColumnStats read(Weight weight, WeightStream stream, Kernels kernels, int sampled)
      throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      Collector collector = new Collector(weight, kernels, sampled, arena);
      stream.read(weight, 0, WeightStream.rows(weight), collector::add);
      return collector.finish();
    }
  }

  /// Takes a weight's rows as they come, each once, in any order.
  private static final class Collector {

    private static final long ALIGNMENT = 64;

    private final Weight weight;
    private final Kernels kernels;
    private final float[] absmax;
    private final double[] sumSquares;
    private final float[][] sample;
    private final float[] row;
    private final MemorySegment decoded;
    private final MemorySegment scratch;

    Collector(Weight weight, Kernels kernels, int sampled, Arena arena) {
      this.weight = weight;
      this.kernels = kernels;
      int cols = Math.toIntExact(WeightStream.cols(weight));
      absmax = new float[cols];
      sumSquares = new double[cols];
      row = new float[cols];
      sample = new float[(int) Math.min(sampled, WeightStream.rows(weight))][];
      decoded = arena.allocate((long) Float.BYTES * cols, ALIGNMENT);
      scratch = arena.allocate(TileDecoder.scratchBytes(weight.encoding(), cols), ALIGNMENT);
    }

    /// @param first number of the tile's first row in the weight
    void add(Tile tile, long first) {
      TileDecoder decoder = new TileDecoder(kernels, tile, scratch, 0);
      for (long r = 0; r < tile.rows(); r++) {
        decoder.read(r, 0, row.length, decoded, 0);
        MemorySegment.copy(decoded, ValueLayout.JAVA_FLOAT, 0, row, 0, row.length);
        for (int c = 0; c < row.length; c++) {
          float magnitude = Math.abs(row[c]);
          absmax[c] = Math.max(absmax[c], magnitude);
          sumSquares[c] += (double) magnitude * magnitude;
        }
        keep(first + r);
      }
    }

    private void keep(long number) {
      long rows = WeightStream.rows(weight);
      int slot = Math.toIntExact(Math.ceilDiv(number * sample.length, rows));
      if (slot < sample.length && slot * rows / sample.length == number) {
        sample[slot] = row.clone();
      }
    }

    /// @throws BadInputException for numbers that are NaN or infinite
    ColumnStats finish() {
      for (int c = 0; c < absmax.length; c++) {
        if (!Float.isFinite(absmax[c])) {
          throw new BadInputException(
              weight.name(),
              absmax[c] + " in column " + c,
              "finite numbers",
              "get the shard " + weight.codes().file() + " anew");
        }
      }
      return new ColumnStats(weight, absmax, sumSquares, sample);
    }
  }

  public Weight weight() {
    return weight;
  }

  public int columns() {
    return absmax.length;
  }

  /// A copy of the largest magnitudes.
  public float[] absmax() {
    return absmax.clone();
  }

  double sumSquares(int column) {
    return sumSquares[column];
  }

  int sampled() {
    return sample.length;
  }

  /// The largest magnitude of a sampled row whose columns are multiplied by factors.
  float largest(int sampled, float[] factors) {
    float[] row = sample[sampled];
    float largest = 0;
    for (int c = 0; c < row.length; c++) {
      largest = Math.max(largest, Math.abs(row[c]) * factors[c]);
    }
    return largest;
  }
}
