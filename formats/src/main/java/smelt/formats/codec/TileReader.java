package smelt.formats.codec;

import static smelt.formats.codec.Layouts.F32;
import static smelt.formats.codec.Layouts.U16;
import static smelt.formats.codec.Layouts.U8;

import java.lang.foreign.MemorySegment;
import smelt.formats.ElementType;
import smelt.formats.gguf.BlockDecoder;
import smelt.formats.gguf.GgmlType;

/// Reads a tile's values, any piece of a row at a time.
///
/// Scales in BF16 or F16 are converted to F32 into scratch memory, one row of the scale tensor at a
/// time.
final class TileReader {

  /// One of the decoding kernels.
  @FunctionalInterface
  private interface Decoder {
    void decode(
        MemorySegment codes,
        long codesOffset,
        MemorySegment scales,
        long scalesOffset,
        long block,
        MemorySegment out,
        long outOffset,
        long count);
  }

  private final Kernels kernels;
  private final Tile tile;
  private final Scales scales;
  private final MemorySegment scratch;
  private final long scratchOffset;
  private long convertedRow = Long.MIN_VALUE;

  /// How a tile's scales belong to its codes.
  private record Scales(ElementType type, long blockRows, long blockCols, long perRow) {
    static Scales of(Encoding encoding, long cols) {
      return switch (encoding) {
        case Encoding.Plain _, Encoding.Ggml _ ->
            new Scales(ElementType.F32, 1, Math.max(1, cols), 0);
        case Encoding.Channel c -> new Scales(c.scaleType(), 1, Math.max(1, cols), 1);
        case Encoding.Block b ->
            new Scales(
                b.scaleType(),
                b.blockRows(),
                b.blockCols(),
                Math.ceilDiv(cols, (long) b.blockCols()));
        case Encoding.Int4 i -> new Scales(i.scaleType(), 1, i.group(), cols / i.group());
      };
    }
  }

  /// @param scratch where `scratchBytes` are free from `scratchOffset` on
  TileReader(Kernels kernels, Tile tile, MemorySegment scratch, long scratchOffset) {
    this.kernels = kernels;
    this.tile = tile;
    this.scales = Scales.of(tile.encoding(), tile.cols());
    this.scratch = scratch;
    this.scratchOffset = scratchOffset;
  }

  static boolean canRead(Encoding encoding) {
    return switch (encoding) {
      case Encoding.Plain(ElementType type) ->
          type == ElementType.BF16 || type == ElementType.F16 || type == ElementType.F32;
      case Encoding.Block b -> canDecode(b.type()) && canScale(b.scaleType());
      case Encoding.Channel c -> canDecode(c.type()) && canScale(c.scaleType());
      case Encoding.Int4 i -> canScale(i.scaleType());
      case Encoding.Ggml g -> BlockDecoder.canRead(g.blocks());
    };
  }

  private static boolean canDecode(ElementType type) {
    return type == ElementType.F8_E4M3 || type == ElementType.F8_E5M2 || type == ElementType.I8;
  }

  private static boolean canScale(ElementType type) {
    return type == ElementType.F32 || type == ElementType.BF16 || type == ElementType.F16;
  }

  /// Bytes for one row of converted scales.
  static long scratchBytes(Encoding encoding, long cols) {
    return Float.BYTES * Scales.of(encoding, cols).perRow();
  }

  /// Byte offset of a code in the tile's codes; of 4-bit codes that of an even column, of blocks
  /// that of the first column of one.
  long at(long row, long col) {
    return tile.codesOffset() + tile.encoding().codeBytes(row * tile.cols() + col);
  }

  /// One decode scale, as F32.
  float scale(long index) {
    return switch (scales.type()) {
      case BF16 ->
          Scalars.decodeBf16(tile.scales().get(U16, tile.scalesOffset() + Short.BYTES * index));
      case F16 ->
          Scalars.decodeF16(tile.scales().get(U16, tile.scalesOffset() + Short.BYTES * index));
      default -> tile.scales().get(F32, tile.scalesOffset() + Float.BYTES * index);
    };
  }

  /// Values of `count` columns from `col` on, as F32.
  void read(long row, long col, long count, MemorySegment out, long outOffset) {
    if (tile.encoding() instanceof Encoding.Int4) {
      readInt4(row, col, count, out, outOffset);
      return;
    }
    if (tile.encoding() instanceof Encoding.Ggml(GgmlType blocks)) {
      readBlocks(blocks, row, col, count, out, outOffset);
      return;
    }
    MemorySegment codes = tile.codes();
    long at = at(row, col);
    switch (tile.encoding().type()) {
      case F32 -> MemorySegment.copy(codes, at, out, outOffset, Float.BYTES * count);
      case BF16 -> kernels.decodeBf16(codes, at, out, outOffset, count);
      case F16 -> kernels.decodeF16(codes, at, out, outOffset, count);
      case F8_E4M3 -> decode(kernels::decodeE4m3, row, col, count, out, outOffset, Float.BYTES);
      case F8_E5M2 -> decode(kernels::decodeE5m2, row, col, count, out, outOffset, Float.BYTES);
      case I8 -> decode(kernels::decodeInt8, row, col, count, out, outOffset, Float.BYTES);
      default -> throw new IllegalStateException("cannot read " + tile.encoding());
    }
  }

  /// Values of `count` columns of E4M3 codes from `col` on, as BF16.
  void readE4m3AsBf16(long row, long col, long count, MemorySegment out, long outOffset) {
    decode(kernels::decodeE4m3ToBf16, row, col, count, out, outOffset, Short.BYTES);
  }

  /// A kernel's run begins with a whole byte, so what begins in the middle of one is read apart.
  private void readInt4(long row, long col, long count, MemorySegment out, long outOffset) {
    long odd = Math.min(count, col % 2);
    if (odd == 1) {
      int stored = (tile.codes().get(U8, at(row, col - 1)) >>> 4) & 0xF;
      float scale = scale(row * scales.perRow() + col / scales.blockCols());
      out.set(F32, outOffset, Scalars.decodeInt4(stored, scale));
    }
    if (odd < count) {
      long at = outOffset + Float.BYTES * odd;
      decode(kernels::decodeInt4, row, col + odd, count - odd, out, at, Float.BYTES);
    }
  }

  /// What begins or ends inside a block is cut out of the whole block.
  private void readBlocks(
      GgmlType type, long row, long col, long count, MemorySegment out, long outOffset) {
    int block = type.blockElements();
    long done = 0;
    while (done < count) {
      long skipped = (col + done) % block;
      long whole = (count - done) / block * block;
      if (skipped == 0 && whole > 0) {
        BlockDecoder.decode(
            type, tile.codes(), at(row, col + done), 1, whole, out, outOffset + Float.BYTES * done);
        done += whole;
      } else {
        long part = Math.min(count - done, block - skipped);
        MemorySegment one = MemorySegment.ofArray(new float[block]);
        BlockDecoder.decode(type, tile.codes(), at(row, col + done - skipped), 1, block, one, 0);
        MemorySegment.copy(
            one, Float.BYTES * skipped, out, outOffset + Float.BYTES * done, Float.BYTES * part);
        done += part;
      }
    }
  }

  /// A kernel's run begins with a whole block, so a piece that begins inside one is two runs.
  private void decode(
      Decoder decoder,
      long row,
      long col,
      long count,
      MemorySegment out,
      long outOffset,
      int outWidth) {
    long block = scales.blockCols();
    long head = Math.min(count, block - col % block);
    MemorySegment rowScales = rowScales(row);
    long scaleAt = rowScalesOffset(row) + Float.BYTES * (col / block);
    MemorySegment codes = tile.codes();
    decoder.decode(codes, at(row, col), rowScales, scaleAt, block, out, outOffset, head);
    if (head < count) {
      long rest = outOffset + head * outWidth;
      scaleAt += Float.BYTES;
      decoder.decode(
          codes, at(row, col + head), rowScales, scaleAt, block, out, rest, count - head);
    }
  }

  private MemorySegment rowScales(long row) {
    if (scales.type() == ElementType.F32) {
      return tile.scales();
    }
    long scaleRow = row / scales.blockRows();
    if (scaleRow != convertedRow) {
      long from = tile.scalesOffset() + Short.BYTES * scaleRow * scales.perRow();
      if (scales.type() == ElementType.BF16) {
        kernels.decodeBf16(tile.scales(), from, scratch, scratchOffset, scales.perRow());
      } else {
        kernels.decodeF16(tile.scales(), from, scratch, scratchOffset, scales.perRow());
      }
      convertedRow = scaleRow;
    }
    return scratch;
  }

  private long rowScalesOffset(long row) {
    return scales.type() == ElementType.F32
        ? tile.scalesOffset() + Float.BYTES * (row / scales.blockRows()) * scales.perRow()
        : scratchOffset;
  }
}
