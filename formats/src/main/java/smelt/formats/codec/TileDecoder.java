package smelt.formats.codec;

import java.lang.foreign.MemorySegment;
import java.util.Objects;
import smelt.formats.UnsupportedException;

/// Reads the values of a tile as F32, any piece of a row at a time: for those who compute with
/// weights instead of writing them. Values are exactly those that `Transcoder` writes as F32; they
/// are not checked for NaN or infinity.
///
/// It keeps what it last converted in scratch memory, so one decoder serves one thread.
public final class TileDecoder {

  private final Tile tile;
  private final TileReader reader;

  /// @param scratch where `scratchBytes` are free from `scratchOffset` on, as long as this is used
  /// @throws UnsupportedException unless `canRead(tile.encoding())`
  public TileDecoder(Kernels kernels, Tile tile, MemorySegment scratch, long scratchOffset) {
    if (!canRead(tile.encoding())) {
      throw new UnsupportedException(
          "computing with " + tile.encoding(),
          "F32, BF16, F16, and E4M3, E5M2, INT8 and INT4 with scales");
    }
    Objects.checkFromIndexSize(
        scratchOffset, scratchBytes(tile.encoding(), tile.cols()), scratch.byteSize());
    this.tile = tile;
    this.reader = new TileReader(kernels, tile, scratch, scratchOffset);
  }

  /// Whether tiles of an encoding can be read as F32.
  public static boolean canRead(Encoding encoding) {
    return TileReader.canRead(encoding);
  }

  /// Bytes of scratch memory for a tile of `cols` columns; none when its scales are F32.
  public static long scratchBytes(Encoding encoding, long cols) {
    return TileReader.scratchBytes(encoding, cols);
  }

  /// Values of `count` columns of a row from `col` on, as F32.
  public void read(long row, long col, long count, MemorySegment out, long outOffset) {
    Objects.checkIndex(row, tile.rows());
    Objects.checkFromIndexSize(col, count, tile.cols());
    reader.read(row, col, count, out, outOffset);
  }
}
