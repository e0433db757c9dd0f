package smelt.formats.experts;

import static java.nio.ByteOrder.LITTLE_ENDIAN;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import smelt.formats.ElementType;
import smelt.formats.checkpoint.Projection;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.Kernels;
import smelt.formats.codec.NonFiniteException;
import smelt.formats.codec.Tile;
import smelt.formats.codec.TileDecoder;
import smelt.formats.codec.Transcoder;

/// Quantizes one matrix of an expert and packs it for the NUMA nodes. Has state for one thread.
///
/// With the rule `EXACT` the matrix is quantized once, whole rows at a time, and then cut: slices
/// for any number of nodes hold the same codes and scales. With `UPSTREAM` each slice is rounded to
/// BF16 and quantized by itself as the runtime's own converter does it, and its bytes are those of
/// that converter.
public final class ExpertPacker {

  /// How codes and scales are chosen.
  public enum Rule {
    /// INT8: `absmax / 127` of the row, half to even. INT4: the scale with the least squared error
    /// of the row, see [ScaleSearch].
    EXACT,
    /// As the runtime's converter, see [RowRule].
    UPSTREAM,
    /// Those of the source, INT8 with scales of rows: nothing is quantized, see [RowScales].
    KEEP
  }

  /// A part of a matrix: what one NUMA node gets.
  public record Region(long firstRow, long rows, long firstCol, long cols) {

    public Region {
      if (firstRow < 0 || rows < 1 || firstCol < 0 || cols < 1) {
        throw new IllegalArgumentException(
            "rows " + firstRow + "+" + rows + ", columns " + firstCol + "+" + cols);
      }
    }
  }

  private static final ValueLayout.OfFloat F32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(LITTLE_ENDIAN);

  private static final Encoding INT8_CHANNEL =
      new Encoding.Channel(ElementType.I8, ElementType.F32);

  private final ExpertFormat format;
  private final Rule rule;
  private final ScaleSearch search;
  private float[] row = {};
  private byte[] rowCodes = {};

  public ExpertPacker(ExpertFormat format, Rule rule) {
    this.format = format;
    this.rule = rule;
    this.search = new ScaleSearch(format.largest());
  }

  /// Bytes of scratch memory for a matrix of `cols` columns.
  public static long scratchBytes(Encoding from, long cols) {
    long decoding = TileDecoder.scratchBytes(from, cols) + Math.multiplyExact(cols, 4L);
    return Math.max(
        Math.max(decoding, Transcoder.scratchBytes(from, from, cols)),
        Transcoder.scratchBytes(from, INT8_CHANNEL, cols));
  }

  /// Quantizes what the region needs. With `EXACT` regions of the same matrix give the same codes
  /// and scales, so one call for the whole matrix serves them all.
  ///
  /// @param matrix the whole matrix
  /// @param codes gets one signed byte a weight, rows of the region without a gap
  /// @param scales gets one F32 for each row of the region, as it is stored
  /// @param scratch `scratchBytes` of memory
  /// @throws NonFiniteException if a weight or scale is not finite
  public void quantize(
      Kernels kernels,
      Tile matrix,
      Region region,
      MemorySegment codes,
      MemorySegment scales,
      MemorySegment scratch) {
    if (rule == Rule.EXACT && format.largest() == 127) {
      requireWhole(matrix, region);
      Tile out = new Tile(INT8_CHANNEL, codes, 0, scales, 0, matrix.rows(), matrix.cols());
      Transcoder.transcode(kernels, matrix, out, scratch);
      return;
    }
    Transcoder.check(kernels, matrix, scratch);
    int cols = Math.toIntExact(region.cols());
    if (row.length < cols) {
      row = new float[cols];
      rowCodes = new byte[cols];
    }
    long valuesAt = TileDecoder.scratchBytes(matrix.encoding(), matrix.cols());
    TileDecoder decoder = new TileDecoder(kernels, matrix, scratch, 0);
    for (long r = 0; r < region.rows(); r++) {
      long from = region.firstRow() + r;
      decoder.read(from, region.firstCol(), cols, scratch, valuesAt);
      MemorySegment.copy(scratch, F32, valuesAt, row, 0, cols);
      requireFinite(from, region.firstCol(), cols);
      scales.setAtIndex(F32, r, quantizeRow(cols));
      MemorySegment.copy(rowCodes, 0, codes, ValueLayout.JAVA_BYTE, r * (long) cols, cols);
    }
  }

  private static void requireWhole(Tile matrix, Region region) {
    if (region.rows() != matrix.rows() || region.cols() != matrix.cols()) {
      throw new IllegalArgumentException(region + " is not the whole matrix");
    }
  }

  private float quantizeRow(int cols) {
    return switch (rule) {
      case EXACT -> search.quantize(row, 0, cols, rowCodes) / format.codeStep();
      case UPSTREAM -> {
        for (int i = 0; i < cols; i++) {
          row[i] = roundToBf16(row[i]);
        }
        yield format.upstreamRule().quantize(row, cols, rowCodes);
      }
      case KEEP -> throw new IllegalStateException("codes that are kept are not quantized");
    };
  }

  /// Half to even; finite numbers that round beyond the largest BF16 become infinite.
  private static float roundToBf16(float x) {
    int bits = Float.floatToRawIntBits(x);
    int rounded = bits + 0x7FFF + ((bits >>> 16) & 1);
    return Float.intBitsToFloat(rounded & 0xFFFF0000);
  }

  private void requireFinite(long fromRow, long firstCol, int cols) {
    for (int i = 0; i < cols; i++) {
      float value = rule == Rule.UPSTREAM ? roundToBf16(row[i]) : row[i];
      if (!(Math.abs(value) < Float.POSITIVE_INFINITY)) {
        throw new NonFiniteException(
            new NonFiniteException.Place.Weight(fromRow, firstCol + i), row[i]);
      }
    }
  }

  /// Packs a region of a matrix of codes.
  ///
  /// @param codes one signed byte a weight, from the region's first on, rows `stride` bytes apart
  public void pack(
      Projection projection,
      MemorySegment codes,
      long codesOffset,
      long stride,
      Region region,
      MemorySegment out,
      long outOffset) {
    format.pack(
        projection, codes, codesOffset, stride, region.rows(), region.cols(), out, outOffset);
  }
}
