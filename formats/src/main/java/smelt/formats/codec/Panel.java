package smelt.formats.codec;

import java.lang.foreign.MemorySegment;
import smelt.formats.ElementType;

/// A rectangle of values that are about to be encoded, where they lie: BF16 or F32, one row every
/// `rowBytes`.
///
/// @param offset byte offset of the first value
/// @param cols values in a row
record Panel(
    Kernels kernels,
    ElementType type,
    MemorySegment values,
    long offset,
    long rowBytes,
    long cols) {

  /// The largest magnitude of each `block` values of a row, with what `maxima` holds: see
  /// `Kernels`.
  void absmax(long row, long block, MemorySegment maxima, long maximaOffset) {
    long at = offset + row * rowBytes;
    if (type == ElementType.BF16) {
      kernels.absmaxBf16(values, at, block, maxima, maximaOffset, cols);
    } else {
      kernels.absmax(values, at, block, maxima, maximaOffset, cols);
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
