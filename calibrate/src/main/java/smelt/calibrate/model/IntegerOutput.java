package smelt.calibrate.model;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import smelt.calibrate.math.Matrix;
import smelt.formats.ElementType;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.Tile;

/// What a runtime makes of sums of products of codes: `(sum(code * weightCode) + bias) * scale`.
///
/// The reference model multiplies `(code - offset) * inputScale` with `weightCode * weightScale`,
/// so what it has is brought to the runtime's by
///
/// ```
/// out = out * scale / (inputScale * weightScale) + (bias + offset * sum(weightCode)) * scale
/// ```
///
/// where a checkpoint that agrees with itself has a factor of 1, and adds the linear's bias,
/// rounded to whole scales: 0 if it has none.
final class IntegerOutput {

  private static final ValueLayout.OfInt I32 =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfShort B16 =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final ActivationScheme.Affine input;
  private final MemorySegment bias;
  private final MemorySegment scales;
  private final long scaleBytes;

  IntegerOutput(
      ActivationScheme.Affine input, MemorySegment bias, MemorySegment scales, long scaleBytes) {
    this.input = input;
    this.bias = bias;
    this.scales = scales;
    this.scaleBytes = scaleBytes;
  }

  /// Scratch memory for so many rows.
  static long scratchBytes(long rows) {
    return Scratch.aligned(ElementType.I32.bytes(rows))
        + Scratch.aligned(ElementType.I64.bytes(rows));
  }

  /// Reads what belongs to some rows of a weight, into scratch memory that the caller releases.
  static IntegerOutput read(
      ActivationScheme.IntegerSums sums,
      long first,
      long rows,
      WeightStream stream,
      Scratch scratch)
      throws IOException {
    ElementType type = sums.scales().type();
    MemorySegment bias = scratch.bytes(ElementType.I32.bytes(rows));
    MemorySegment scales = scratch.bytes(type.bytes(rows));
    stream.fill(sums.bias(), ElementType.I32.bytes(first), bias);
    stream.fill(sums.scales(), type.bytes(first), scales);
    return new IntegerOutput(sums.input(), bias, scales, type.bytes(1));
  }

  /// Corrects the products of a tile.
  ///
  /// @param tile INT8 codes with a scale for each row
  /// @param first its first row among those that were read
  /// @param out a column for each row of the tile
  void correct(Tile tile, long first, Matrix out) {
    for (long row = 0; row < tile.rows(); row++) {
      double scale = Float.intBitsToFloat(scales.get(I32, (first + row) * scaleBytes));
      double expected = (double) input.scale() * weightScale(tile, row);
      long added =
          bias.get(I32, (first + row) * Integer.BYTES) + input.offset() * sumOfCodes(tile, row);
      float factor = (float) (scale / expected);
      float shift = (float) (added * scale);
      if (factor != 1 || shift != 0) {
        for (long i = 0; i < out.rows(); i++) {
          out.set(i, row, out.get(i, row) * factor + shift);
        }
      }
    }
  }

  private static double weightScale(Tile tile, long row) {
    ElementType type =
        tile.encoding() instanceof Encoding.Channel channel ? channel.scaleType() : ElementType.F32;
    long at = tile.scalesOffset() + type.bytes(row);
    return type == ElementType.BF16
        ? Float.intBitsToFloat(tile.scales().get(B16, at) << 16)
        : Float.intBitsToFloat(tile.scales().get(I32, at));
  }

  private static long sumOfCodes(Tile tile, long row) {
    long sum = 0;
    long from = tile.codesOffset() + row * tile.cols();
    for (long at = from; at < from + tile.cols(); at++) {
      sum += tile.codes().get(ValueLayout.JAVA_BYTE, at);
    }
    return sum;
  }
}
