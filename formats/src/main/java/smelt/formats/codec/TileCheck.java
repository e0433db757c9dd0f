package smelt.formats.codec;

import static smelt.formats.codec.Layouts.F32;
import static smelt.formats.codec.Layouts.U32;

import java.lang.foreign.MemorySegment;
import smelt.formats.ElementType;

/// Finds what no converted tensor may hold. The quick checks look at magnitudes only; when one
/// fails, `refuse` goes through the tile again to name the first culprit.
final class TileCheck {

  /// Bits of the smallest magnitude that is not finite.
  private static final int INFINITE = 0x7F800000;

  /// Bits of the smallest F32 magnitude that becomes infinite as BF16.
  private static final int INFINITE_AS_BF16 = 0x7F7F8000;

  /// With scales up to this an E4M3 code never becomes infinite.
  private static final float E4M3_SCALE_LIMIT = 0x1p110f;

  /// Columns that are read at once; the scratch memory holds as many F32.
  static final int PIECE = 1024;

  private final Kernels kernels;
  private final Tile tile;
  private final TileReader reader;
  private final MemorySegment scratch;
  private final long maximum;
  private final long piece;
  private float largestScale;

  /// @param scratch free from `maximum` on for one F32, from `piece` on for `PIECE` of them
  TileCheck(
      Kernels kernels,
      Tile tile,
      TileReader reader,
      MemorySegment scratch,
      long maximum,
      long piece) {
    this.kernels = kernels;
    this.tile = tile;
    this.reader = reader;
    this.scratch = scratch;
    this.maximum = maximum;
    this.piece = piece;
  }

  /// Refuses decode scales that are not positive and finite; `format` UE8M0 also those that are not
  /// powers of two.
  void scales(ScaleFormat format) {
    for (long i = 0; i < tile.scaleCount(); i++) {
      float scale = reader.scale(i);
      boolean positive = scale > 0 && scale < Float.POSITIVE_INFINITY;
      if (!positive || (format == ScaleFormat.UE8M0 && !isPowerOfTwo(scale))) {
        throw new NonFiniteException(new NonFiniteException.Place.Scale(i), scale);
      }
      largestScale = Math.max(largestScale, scale);
    }
  }

  private static boolean isPowerOfTwo(float positive) {
    int bits = Float.floatToRawIntBits(positive);
    return (bits & 0x007FFFFF) == 0 || (bits < 0x00800000 && Integer.bitCount(bits) == 1);
  }

  /// Refuses a piece of E4M3 codes, or the BF16 that were made from it, when they are not all
  /// finite. The codes show it, unless a scale is so large that it takes them beyond the largest
  /// BF16.
  void e4m3AsBf16(long row, long col, long n, MemorySegment values, long offset) {
    boolean finite =
        largestScale <= E4M3_SCALE_LIMIT ? finiteCodes(row, col, n) : finiteBf16(values, offset, n);
    if (!finite) {
      throw refusal(INFINITE_AS_BF16);
    }
  }

  /// Refuses codes that are NaN or infinite; types that cannot be decoded are not looked at.
  void codes() {
    if (!TileReader.canRead(tile.encoding())) {
      return;
    }
    for (long row = 0; row < tile.rows(); row++) {
      for (long col = 0; col < tile.cols(); col += PIECE) {
        long n = Math.min(PIECE, tile.cols() - col);
        if (!finiteCodes(row, col, n)) {
          throw refusal(INFINITE);
        }
      }
    }
  }

  private boolean finiteCodes(long row, long col, long n) {
    if (tile.encoding() instanceof Encoding.Ggml) {
      reader.read(row, col, n, scratch, piece);
      return finiteF32(scratch, piece, n);
    }
    long at = reader.at(row, col);
    return switch (tile.encoding().type()) {
      case F32 -> finiteF32(tile.codes(), at, n);
      case BF16 -> finiteBf16(tile.codes(), at, n);
      case F16 -> {
        kernels.decodeF16(tile.codes(), at, scratch, piece, n);
        yield finiteF32(scratch, piece, n);
      }
      case F8_E4M3 -> !kernels.anyNanE4m3(tile.codes(), at, n);
      case F8_E5M2 -> finiteE5m2(at, n);
      default -> true;
    };
  }

  private boolean finiteE5m2(long at, long n) {
    for (long i = 0; i < n; i++) {
      if (!Scalars.isFiniteE5m2(tile.codes().get(Layouts.U8, at + i))) {
        return false;
      }
    }
    return true;
  }

  /// Refuses the tile when these values in `type`, BF16 or F32, which were made from it, are not
  /// all finite.
  void result(ElementType type, MemorySegment values, long offset, long n) {
    boolean finite =
        type == ElementType.BF16 ? finiteBf16(values, offset, n) : finiteF32(values, offset, n);
    if (!finite) {
      throw refusal(type == ElementType.BF16 ? INFINITE_AS_BF16 : INFINITE);
    }
  }

  /// Refuses the tile when the largest magnitude of some of its values is not finite.
  ///
  /// @return that magnitude
  float magnitude(float absmax) {
    if (!(absmax < Float.POSITIVE_INFINITY)) {
      throw refusal(INFINITE);
    }
    return absmax;
  }

  private boolean finiteF32(MemorySegment values, long offset, long n) {
    scratch.set(F32, maximum, 0f);
    kernels.absmax(values, offset, Math.max(1, n), scratch, maximum, n);
    return scratch.get(U32, maximum) < INFINITE;
  }

  private boolean finiteBf16(MemorySegment values, long offset, long n) {
    scratch.set(F32, maximum, 0f);
    kernels.absmaxBf16(values, offset, Math.max(1, n), scratch, maximum, n);
    return scratch.get(U32, maximum) < INFINITE;
  }

  private NonFiniteException refusal(int limit) {
    for (long row = 0; row < tile.rows(); row++) {
      for (long col = 0; col < tile.cols(); col += PIECE) {
        long n = Math.min(PIECE, tile.cols() - col);
        reader.read(row, col, n, scratch, piece);
        for (long i = 0; i < n; i++) {
          float value = scratch.get(F32, piece + Float.BYTES * i);
          if ((Float.floatToRawIntBits(value) & 0x7FFFFFFF) >= limit) {
            return new NonFiniteException(new NonFiniteException.Place.Weight(row, col + i), value);
          }
        }
      }
    }
    throw new IllegalStateException("a check failed, but every value is finite");
  }
}
