package smelt.formats.codec;

import java.lang.foreign.MemorySegment;
import smelt.formats.ElementType;

/// A rectangle of values that are about to be encoded, where they lie: BF16 or F32, one row every
/// `rowBytes`.
///
/// @param offset byte offset of the first value
/// @param rows number of rows
/// @param cols values in a row
record Panel(
    Kernels kernels,
    ElementType type,
    MemorySegment values,
    long offset,
    long rowBytes,
    long rows,
    long cols) {

  /// The largest magnitude of each `block` columns over all rows, as F32 into `maxima`.
  ///
  /// @param columns byte offset in `scratch` of `cols` F32, for the largest magnitude of each
  ///   column
  void absmax(long block, MemorySegment scratch, long columns, long maxima) {
    int width = type.bits() / Byte.SIZE;
    scratch.asSlice(columns, width * cols).fill((byte) 0);
    scratch.asSlice(maxima, Float.BYTES * Math.ceilDiv(cols, block)).fill((byte) 0);
    for (long row = 0; row < rows; row++) {
      long at = offset + row * rowBytes;
      if (type == ElementType.BF16) {
        kernels.raiseBf16(values, at, scratch, columns, cols);
      } else {
        kernels.raise(values, at, scratch, columns, cols);
      }
    }
    absmax(block, scratch, columns, scratch, maxima);
  }

  /// The largest magnitude of the panel's first row, as F32.
  void absmaxOfRow(MemorySegment scratch, long maximum) {
    scratch.set(Layouts.F32, maximum, 0f);
    absmax(Math.max(1, cols), values, offset, scratch, maximum);
  }

  private void absmax(
      long block, MemorySegment in, long inOffset, MemorySegment maxima, long maximaOffset) {
    if (type == ElementType.BF16) {
      kernels.absmaxBf16(in, inOffset, block, maxima, maximaOffset, cols);
    } else {
      kernels.absmax(in, inOffset, block, maxima, maximaOffset, cols);
    }
  }

  /// Writes the codes of a row.
  ///
  /// @param scalesOffset byte offset of the scale of the row's first block
  void encode(
      long row,
      ElementType target,
      MemorySegment scales,
      long scalesOffset,
      long block,
      MemorySegment out,
      long outOffset) {
    long at = offset + row * rowBytes;
    boolean bf16 = type == ElementType.BF16;
    if (target == ElementType.I8) {
      if (bf16) {
        kernels.encodeInt8FromBf16(values, at, scales, scalesOffset, block, out, outOffset, cols);
      } else {
        kernels.encodeInt8(values, at, scales, scalesOffset, block, out, outOffset, cols);
      }
    } else if (bf16) {
      kernels.encodeE4m3FromBf16(values, at, scales, scalesOffset, block, out, outOffset, cols);
    } else {
      kernels.encodeE4m3(values, at, scales, scalesOffset, block, out, outOffset, cols);
    }
  }
}
