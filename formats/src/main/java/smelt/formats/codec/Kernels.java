package smelt.formats.codec;

import java.lang.foreign.MemorySegment;

/// The inner loops of decoding and encoding weights. `ScalarKernels` is the definition; every other
/// set gives the same bytes.
///
/// All methods work on one run of `count` elements that lie one after the other, at any byte offset
/// (alignment is never assumed, all numbers are little-endian). A "block" run has one scale for
/// every `block` elements, the last block may be shorter; with `block >= count` one scale serves the
/// whole run. Nothing outside the stated ranges is touched. `in` and `out` must not overlap.
public interface Kernels {

  /// Name for the log, such as `scalar` or `vector-512`.
  String name();

  /// BF16 to F32, exact.
  void decodeBf16(MemorySegment in, long inOffset, MemorySegment out, long outOffset, long count);

  /// F16 to F32, exact.
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

  /// F32 to BF16, half to even. Finite values that round past the largest BF16 become infinite;
  /// NaN gives the quiet NaN 0x7FC0 with its sign.
  void encodeBf16(MemorySegment in, long inOffset, MemorySegment out, long outOffset, long count);

  /// Largest magnitude of each block of F32 values, taken together with what `maxima` already holds:
  /// `maxima[b] = max(maxima[b], |x| of block b)`. Infinity gives infinity; NaN gives NaN, and stays.
  void absmax(
      MemorySegment in,
      long inOffset,
      long block,
      MemorySegment maxima,
      long maximaOffset,
      long count);

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
}
