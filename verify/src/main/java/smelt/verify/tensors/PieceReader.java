package smelt.verify.tensors;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import smelt.formats.codec.Kernels;

/// Reads and compares pieces, one after the other, in memory of its own. For one thread.
final class PieceReader {

  /// Values that are decoded and compared at once: both sides stay in the first-level cache. Part
  /// of the definition of the sums, which are FP64 over so many values at a time.
  static final int VALUES = 1024;

  private static final ValueLayout.OfFloat F32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private static final long DECODED = (long) Float.BYTES * VALUES;

  private final Kernels kernels;
  private final OpenFiles source;
  private final OpenFiles result;
  private final MemorySegment a;
  private final MemorySegment b;
  private final MemorySegment rest;

  /// @param memory at least `memoryBytes` of every pair that will be read
  PieceReader(Kernels kernels, OpenFiles source, OpenFiles result, MemorySegment memory) {
    this.kernels = kernels;
    this.source = source;
    this.result = result;
    this.a = memory.asSlice(0, DECODED);
    this.b = memory.asSlice(DECODED, DECODED);
    this.rest = memory.asSlice(2 * DECODED);
  }

  static long memoryBytes(Pairing.Pair pair, Cut cut) {
    return 2 * DECODED
        + Side.memoryBytes(pair.source(), cut)
        + Side.memoryBytes(pair.result(), cut);
  }

  /// What a piece gave, and the bytes that were read for it.
  record Outcome(PairScore.Part part, long bytes) {}

  /// @param factors what the source's numbers are multiplied by before they are compared; told
  ///   where the pair's numbers tell them
  Outcome read(Pairing.Pair pair, Cut cut, long piece, SourceFactors factors) throws IOException {
    long middle = Side.memoryBytes(pair.source(), cut);
    long end = middle + Side.memoryBytes(pair.result(), cut);
    Side left = new Side(pair.source(), cut, source, kernels, rest.asSlice(0, middle));
    Side right = new Side(pair.result(), cut, result, kernels, rest.asSlice(middle, end - middle));
    long first = cut.firstRow(piece);
    long rows = cut.rows(piece);
    long bytes = left.load(first, rows) + right.load(first, rows);
    ScaleRange scales = new ScaleRange();
    right.scales(scales);
    Deviation deviation = compare(left, right, cut, first, first + rows, factors);
    return new Outcome(new PairScore.Part(deviation, right.clipped(), scales), bytes);
  }

  /// Goes from one change of scales, on either side, to the next.
  private Deviation compare(
      Side left, Side right, Cut cut, long first, long end, SourceFactors factors) {
    Deviation deviation = new Deviation();
    for (long row = first; row < end; ) {
      long next = Math.min(end, Math.min(left.bandEnd(row), right.bandEnd(row)));
      left.select(row, next - row);
      right.select(row, next - row);
      long cols = cut.tileCols(next - row);
      for (long r = 0; r < cut.tileRows(next - row); r++) {
        long number = cut.run() ? 0 : row + r;
        long start = cut.run() ? row : 0;
        if (factors.tellsRow(number)) {
          tellRow(left, right, r, number, cols, factors);
        }
        for (long col = 0; col < cols; col += VALUES) {
          long count = Math.min(VALUES, cols - col);
          left.decode(r, col, count, a);
          right.decode(r, col, count, b);
          factors.tellNumbers(start + col, count, a, b);
          factors.multiply(number, start + col, count, a);
          deviation.add(a, b, count);
        }
      }
      row = next;
    }
    return deviation;
  }

  /// Decodes a row once more than it is compared: its factor comes from all its numbers.
  private void tellRow(
      Side left, Side right, long r, long number, long cols, SourceFactors factors) {
    double source = 0;
    double result = 0;
    for (long col = 0; col < cols; col += VALUES) {
      long count = Math.min(VALUES, cols - col);
      left.decode(r, col, count, a);
      right.decode(r, col, count, b);
      factors.multiply(number, col, count, a);
      source += squares(a, count);
      result += squares(b, count);
    }
    factors.tellRow(number, source, result);
  }

  private static double squares(MemorySegment values, long count) {
    double sum = 0;
    for (long i = 0; i < Float.BYTES * count; i += Float.BYTES) {
      double value = values.get(F32, i);
      sum += value * value;
    }
    return sum;
  }
}
