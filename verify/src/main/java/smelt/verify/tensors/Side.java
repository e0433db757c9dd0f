package smelt.verify.tensors;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import smelt.formats.ElementType;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.Kernels;
import smelt.formats.codec.Tile;
import smelt.formats.codec.TileDecoder;

/// One of the two weights of a pair: reads the codes and scales of a piece, and decodes them.
///
/// In its memory lie the codes of the piece, then the scale rows that these need, then a row of
/// scales converted to F32. For one thread.
final class Side {

  /// Alignment of the parts; nothing needs it, but reads and kernels are faster with it.
  private static final long ALIGN = 64;

  private static final ValueLayout.OfShort U16 =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfFloat F32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final Weight weight;
  private final Cut cut;
  private final OpenFiles files;
  private final Kernels kernels;
  private final MemorySegment memory;
  private final Scales scales;

  private long first;
  private long codeBytes;
  private long scalesAt;
  private long scaleCount;
  private TileDecoder decoder;

  /// How scales lie beside the rows of a tensor.
  ///
  /// @param rows rows of codes that share a row of scales
  /// @param perRow scales of such a row; none for plain numbers
  record Scales(ElementType type, long rows, long perRow) {
    static Scales of(Encoding encoding, long cols) {
      return switch (encoding) {
        case Encoding.Plain _, Encoding.Ggml _ -> new Scales(ElementType.F32, Long.MAX_VALUE, 0);
        case Encoding.Channel c -> new Scales(c.scaleType(), 1, 1);
        case Encoding.Block b ->
            new Scales(b.scaleType(), b.blockRows(), Math.ceilDiv(cols, (long) b.blockCols()));
        case Encoding.Int4 i -> new Scales(i.scaleType(), 1, cols / i.group());
      };
    }

    /// Bytes of the scale rows that some rows of codes need.
    long bytes(long firstRow, long codeRows) {
      long count = (firstRow + codeRows - 1) / rows - firstRow / rows + 1;
      return type.bytes(Math.multiplyExact(count, perRow));
    }

    /// No piece of so many rows needs more.
    long mostBytes(long codeRows) {
      return type.bytes(Math.multiplyExact((codeRows - 1) / rows + 2, perRow));
    }
  }

  /// @param memory at least `memoryBytes`
  Side(Weight weight, Cut cut, OpenFiles files, Kernels kernels, MemorySegment memory) {
    this.weight = weight;
    this.cut = cut;
    this.files = files;
    this.kernels = kernels;
    this.memory = memory;
    this.scales = Scales.of(weight.encoding(), cut.cols());
  }

  /// Bytes of memory for any piece of a weight.
  static long memoryBytes(Weight weight, Cut cut) {
    if (cut.rows() == 0) {
      return 0;
    }
    long codes = weight.encoding().codeBytes(Math.multiplyExact(cut.mostRows(), cut.cols()));
    long scales = Scales.of(weight.encoding(), cut.cols()).mostBytes(cut.mostRows());
    return align(codes)
        + align(scales)
        + align(TileDecoder.scratchBytes(weight.encoding(), cut.cols()));
  }

  private static long align(long bytes) {
    return (bytes + ALIGN - 1) & -ALIGN;
  }

  /// Reads rows of the tensor.
  ///
  /// @return the bytes that were read
  long load(long firstRow, long rows) throws IOException {
    first = firstRow;
    codeBytes = bytes(rows);
    scalesAt = align(codeBytes);
    SourceTensor codes = weight.codes();
    files.read(codes.file(), codes.offset() + bytes(firstRow), memory.asSlice(0, codeBytes));
    if (weight.scale().isEmpty()) {
      scaleCount = 0;
      return codeBytes;
    }
    SourceTensor scale = weight.scale().get();
    long scaleBytes = scales.bytes(firstRow, rows);
    scaleCount = scaleBytes / scales.type().bytes(1);
    long at = scale.offset() + scales.type().bytes(firstRow / scales.rows() * scales.perRow());
    files.read(scale.file(), at, memory.asSlice(scalesAt, scaleBytes));
    return codeBytes + scaleBytes;
  }

  private long bytes(long rows) {
    return weight.encoding().codeBytes(Math.multiplyExact(rows, cut.cols()));
  }

  /// The first row behind `row` that has other scales.
  long bandEnd(long row) {
    return scales.perRow() == 0 ? Long.MAX_VALUE : (row / scales.rows() + 1) * scales.rows();
  }

  /// Prepares for rows that share their scales, and that all were loaded.
  void select(long row, long rows) {
    long scaleRow = scales.perRow() == 0 ? 0 : row / scales.rows() - first / scales.rows();
    long scratchAt = align(scalesAt + scales.type().bytes(scaleCount));
    Tile tile =
        new Tile(
            weight.encoding(),
            memory,
            bytes(row - first),
            scales.perRow() == 0 ? MemorySegment.NULL : memory,
            scales.perRow() == 0
                ? 0
                : scalesAt + scales.type().bytes(Math.multiplyExact(scaleRow, scales.perRow())),
            cut.tileRows(rows),
            cut.tileCols(rows));
    decoder = new TileDecoder(kernels, tile, memory, scratchAt);
  }

  /// Values of the selected rows.
  void decode(long row, long col, long count, MemorySegment out) {
    decoder.read(row, col, count, out, 0);
  }

  /// Codes of the loaded rows at either end of the type's range; none for plain numbers.
  long clipped() {
    return weight.scale().isEmpty()
        ? 0
        : ClippedCodes.count(weight.encoding().type(), memory, codeBytes);
  }

  /// Puts the loaded scales into a range.
  void scales(ScaleRange range) {
    for (long i = 0; i < scaleCount; i++) {
      long at = scalesAt + scales.type().bytes(i);
      range.add(
          switch (scales.type()) {
            case BF16 -> Float.intBitsToFloat(memory.get(U16, at) << 16);
            case F16 -> Float.float16ToFloat(memory.get(U16, at));
            default -> memory.get(F32, at);
          });
    }
  }
}
