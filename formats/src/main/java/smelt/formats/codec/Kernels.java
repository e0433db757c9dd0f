package smelt.formats.codec;

import java.lang.foreign.MemorySegment;

/// The inner loops of decoding and encoding weights. `ScalarKernels` is the definition; every other
/// set gives the same bytes.
///
/// All methods work on one run of `count` elements that lie one after the other, at any byte offset
/// (alignment is never assumed, all numbers are little-endian). A "block" run has one scale for
/// every `block` elements, the last block may be shorter; with `block >= count` one scale serves
/// the whole run. Scales are F32, positive and finite. Nothing outside the stated ranges is
/// touched. `in` and `out` must not overlap. Implementations have no state; any thread may call
/// them.
///
/// A NaN that a decoder gives is the quiet NaN `0x7FC00000` (F32) or `0x7FC0` (BF16) with the sign
/// of its code, unless its method says otherwise.
public interface Kernels {

  /// Name for the log, such as `scalar` or `vector-512`.
  String name();

  /// BF16 to F32, exact; NaN keeps its bits.
  void decodeBf16(MemorySegment in, long inOffset, MemorySegment out, long outOffset, long count);

  /// F16 to F32, exact; NaN keeps its sign and payload and becomes quiet.
  void decodeF16(MemorySegment in, long inOffset, MemorySegment out, long outOffset, long count);

  /// E4M3 codes times their F32 scale, rounded once to F32. NaN codes give NaN.
  void decodeE4m3(
      MemorySegment codes,
      long codesOffset,
      MemorySegment scales,
      long scalesOffset,
      long block,
      MemorySegment out,
      long outOffset,
      long count);

  /// E4M3 codes times their F32 scale, rounded to F32 and then to BF16, both half to even (as the
  /// published dequantization does). NaN codes give NaN; what passes the largest BF16 is infinite.
  void decodeE4m3ToBf16(
      MemorySegment codes,
      long codesOffset,
      MemorySegment scales,
      long scalesOffset,
      long block,
      MemorySegment out,
      long outOffset,
      long count);

  /// Whether any E4M3 code is NaN (`0x7F`, `0xFF`); E4M3 has no infinity.
  boolean anyNanE4m3(MemorySegment codes, long codesOffset, long count);

  /// E5M2 codes times their F32 scale, rounded once to F32. NaN and infinite codes stay so.
  void decodeE5m2(
      MemorySegment codes,
      long codesOffset,
      MemorySegment scales,
      long scalesOffset,
      long block,
      MemorySegment out,
      long outOffset,
      long count);

  /// INT8 codes times their F32 scale, rounded once to F32.
  void decodeInt8(
      MemorySegment codes,
      long codesOffset,
      MemorySegment scales,
      long scalesOffset,
      long block,
      MemorySegment out,
      long outOffset,
      long count);

  /// F32 to BF16, half to even. Finite values that round past the largest BF16 become infinite; NaN
  /// gives the quiet NaN 0x7FC0 with its sign.
  void encodeBf16(MemorySegment in, long inOffset, MemorySegment out, long outOffset, long count);

  /// Largest magnitude of each block of F32 values, taken together with what `maxima` already
  /// holds: `maxima[b] = max(maxima[b], |x| of block b)`, F32. Magnitudes are compared as their
  /// bits without the sign, so infinity is above all numbers, and NaN above infinity (it stays,
  /// with its payload).
  void absmax(
      MemorySegment in,
      long inOffset,
      long block,
      MemorySegment maxima,
      long maximaOffset,
      long count);

  /// As `absmax`, for BF16 values; the maxima are F32.
  void absmaxBf16(
      MemorySegment in,
      long inOffset,
      long block,
      MemorySegment maxima,
      long maximaOffset,
      long count);

  /// Raises each of `count` magnitudes to that of the value at its place, where that is larger:
  /// `maxima[i] = max(maxima[i], |in[i]|)`, all F32, compared as in `absmax`.
  void raise(MemorySegment in, long inOffset, MemorySegment maxima, long maximaOffset, long count);

  /// As `raise`, with values and maxima in BF16.
  void raiseBf16(
      MemorySegment in, long inOffset, MemorySegment maxima, long maximaOffset, long count);

  /// F32 to E4M3: `x / scale` (one F32 division), half to even, saturating at 448, -0 keeps its
  /// sign. The values must be finite.
  void encodeE4m3(
      MemorySegment in,
      long inOffset,
      MemorySegment scales,
      long scalesOffset,
      long block,
      MemorySegment out,
      long outOffset,
      long count);

  /// F32 to INT8 in [-127, 127]: `x / scale` (one F32 division), half to even, saturating. The
  /// values must be finite.
  void encodeInt8(
      MemorySegment in,
      long inOffset,
      MemorySegment scales,
      long scalesOffset,
      long block,
      MemorySegment out,
      long outOffset,
      long count);

  /// BF16 to E4M3: as `encodeE4m3` of the same values in F32.
  void encodeE4m3FromBf16(
      MemorySegment in,
      long inOffset,
      MemorySegment scales,
      long scalesOffset,
      long block,
      MemorySegment out,
      long outOffset,
      long count);

  /// BF16 to INT8: as `encodeInt8` of the same values in F32.
  void encodeInt8FromBf16(
      MemorySegment in,
      long inOffset,
      MemorySegment scales,
      long scalesOffset,
      long block,
      MemorySegment out,
      long outOffset,
      long count);

  /// 4-bit codes, two to a byte as [Encoding.Int4] stores them, times their F32 scale, rounded once
  /// to F32.
  ///
  /// @param codesOffset byte offset of the first code, which is in the low half
  /// @param block even
  void decodeInt4(
      MemorySegment codes,
      long codesOffset,
      MemorySegment scales,
      long scalesOffset,
      long block,
      MemorySegment out,
      long outOffset,
      long count);

  /// F32 to 4-bit codes in [-7, 7], stored two to a byte: `x / scale` (one F32 division), half to
  /// even, saturating. The values must be finite.
  ///
  /// @param block even
  /// @param count even
  void encodeInt4(
      MemorySegment in,
      long inOffset,
      MemorySegment scales,
      long scalesOffset,
      long block,
      MemorySegment out,
      long outOffset,
      long count);

  /// For each block of F32 values the scale of 4-bit codes in [-7, 7] that leaves the least squared
  /// error, of all BF16 numbers, as [Int4Search] defines it.
  ///
  /// @param scales holds the largest magnitude of each block, as `absmax` gives it, finite; its
  ///   place gets the scale, F32
  void searchInt4(
      MemorySegment in,
      long inOffset,
      long block,
      MemorySegment scales,
      long scalesOffset,
      long count);
}
