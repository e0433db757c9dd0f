package smelt.calibrate.observe;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.foreign.ValueLayout;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.Matrix;

/// Sums `x xT` over the tokens of a site, in native memory.
///
/// Tokens are gathered, transposed, into blocks of `BLOCK`; the product of a block with itself is
/// an ordinary F32 product, and products are added in F64. Blocks are counted from the site's first
/// token, so the sums do not depend on how many tokens come at once. Only rows up to the diagonal
/// are computed and kept.
final class HessianSums implements AutoCloseable {

  /// Tokens that are multiplied at once.
  static final int BLOCK = 512;

  /// Rows of the result that are computed at once.
  private static final long ROWS = 256;

  private static final long SLACK = 4096;

  private final long channels;
  private final Arena arena = Arena.ofShared();
  private final Matrix block;
  private final Matrix product;
  private final MemorySegment sums;
  private int filled;
  private long tokens;

  HessianSums(long channels) {
    this.channels = channels;
    block = Matrix.zeros(arena, channels, BLOCK);
    product = Matrix.zeros(arena, Math.min(ROWS, channels), channels);
    sums = arena.allocate(sumsBytes(channels), 64);
  }

  /// Bytes of native memory.
  static long bytes(long channels) {
    return Matrix.bytes(channels, BLOCK)
        + Matrix.bytes(Math.min(ROWS, channels), channels)
        + sumsBytes(channels)
        + SLACK;
  }

  private static long sumsBytes(long channels) {
    return Math.multiplyExact(Double.BYTES, Math.multiplyExact(channels, channels + 1) / 2);
  }

  /// Adds the rows of a matrix.
  void add(Matrix x, Compute compute) {
    long done = 0;
    while (done < x.rows()) {
      long count = Math.min(BLOCK - filled, x.rows() - done);
      compute.transpose(x.rows(done, count), block.columns(filled, count));
      filled += Math.toIntExact(count);
      done += count;
      if (filled == BLOCK) {
        flush(compute);
      }
    }
    tokens += x.rows();
  }

  private void flush(Compute compute) {
    Matrix x = block.columns(0, filled);
    for (long first = 0; first < channels && filled > 0; first += ROWS) {
      long rows = Math.min(ROWS, channels - first);
      long behind = channels - first;
      Matrix out = product.rows(0, rows).columns(0, behind);
      compute.multiply(x.rows(first, rows), x.rows(first, behind), out);
      long row0 = first;
      compute.eachStripe(behind, (from, end) -> addUpper(out, row0, from, end));
    }
    filled = 0;
  }

  /// Adds columns `from` to `end` of a product whose first row and column are `first` of the whole.
  private void addUpper(Matrix out, long first, long from, long end) {
    for (long row = 0; row < Math.min(out.rows(), end); row++) {
      long at = at(first + row, first + Math.max(row, from));
      for (long col = Math.max(row, from); col < end; col++) {
        double sum = sums.get(ValueLayout.JAVA_DOUBLE, at);
        double more = out.data().get(Matrix.F32, out.at(row, col));
        sums.set(ValueLayout.JAVA_DOUBLE, at, sum + more);
        at += Double.BYTES;
      }
    }
  }

  /// Where the sum of a row and of a column not before it is.
  private long at(long row, long col) {
    return Double.BYTES * (row * channels - row * (row - 1) / 2 + (col - row));
  }

  /// The mean so far.
  ///
  /// @param memory `Matrix.bytes(channels, channels)` are taken from it
  Hessian mean(Compute compute, SegmentAllocator memory) {
    Matrix values = Matrix.zeros(memory, channels, channels);
    rows(compute, 0, values);
    return new Hessian(tokens, values);
  }

  /// Some rows of the mean so far, from `first` on.
  void rows(Compute compute, long first, Matrix out) {
    flush(compute);
    compute.eachStripe(
        channels,
        (from, end) -> {
          for (long i = 0; i < out.rows(); i++) {
            long row = first + i;
            for (long col = from; col < end; col++) {
              double sum =
                  sums.get(ValueLayout.JAVA_DOUBLE, at(Math.min(row, col), Math.max(row, col)));
              float mean = tokens == 0 ? 0 : (float) (sum / tokens);
              out.data().set(Matrix.F32, out.at(i, col), mean);
            }
          }
        });
  }

  long channels() {
    return channels;
  }

  long tokens() {
    return tokens;
  }

  @Override
  public void close() {
    arena.close();
  }
}
