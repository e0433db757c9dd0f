package smelt.converter.gguf;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import smelt.formats.BadInputException;
import smelt.formats.ElementType;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.Kernels;
import smelt.formats.codec.Tile;
import smelt.formats.codec.TileDecoder;

/// Reads any rows of a weight as F32. In its memory lie their codes, then the scale rows that these
/// need, then a row of scales converted to F32. For one thread.
///
/// Blocks of scales may begin above the first row that is wanted: then reading begins there.
final class RowReader {

  private static final long ALIGN = 64;
  private static final ValueLayout.OfShort U16 =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfFloat F32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final OpenShards shards;
  private final Kernels kernels;
  private final MemorySegment memory;

  /// How scales lie beside the rows of a weight.
  ///
  /// @param rows rows of codes that share a row of scales
  /// @param perRow scales of such a row; none for plain numbers
  private record Scales(ElementType type, long rows, long perRow) {
    static Scales of(Encoding encoding, long cols) {
      return switch (encoding) {
        case Encoding.Plain _ -> new Scales(ElementType.F32, 1, 0);
        case Encoding.Channel c -> new Scales(c.scaleType(), 1, 1);
        case Encoding.Block b ->
            new Scales(b.scaleType(), b.blockRows(), Math.ceilDiv(cols, (long) b.blockCols()));
        case Encoding.Int4 i -> new Scales(i.scaleType(), 1, cols / i.group());
      };
    }

    long bytes(long codeRows) {
      return type.bytes(Math.multiplyExact(Math.ceilDiv(codeRows, rows), perRow));
    }
  }

  /// @param memory at least `memoryBytes` of all that will be read
  RowReader(OpenShards shards, Kernels kernels, MemorySegment memory) {
    this.shards = shards;
    this.kernels = kernels;
    this.memory = memory;
  }

  /// Bytes of memory for reading `rows` rows at once.
  ///
  /// @throws UnsupportedException if the weight is in an encoding that cannot be computed with
  static long memoryBytes(Weight weight, long rows, long cols) {
    if (!TileDecoder.canRead(weight.encoding())) {
      throw new UnsupportedException(
          weight.name() + " in " + weight.encoding(),
          "F32, BF16, F16, and E4M3, E5M2 and INT8 with scales can be read");
    }
    Scales scales = Scales.of(weight.encoding(), cols);
    long most = rows + scales.rows() - 1;
    return align(codeBytes(weight, most, cols))
        + align(scales.bytes(most))
        + align(TileDecoder.scratchBytes(weight.encoding(), cols));
  }

  private static long align(long bytes) {
    return Math.ceilDiv(bytes, ALIGN) * ALIGN;
  }

  private static long codeBytes(Weight weight, long rows, long cols) {
    return weight.encoding().codeBytes(Math.multiplyExact(rows, cols));
  }

  /// @param out F32, `rows` x `cols`
  /// @throws BadInputException if a value or a scale is not finite, or a scale not positive
  void read(Weight weight, long firstRow, long rows, long cols, MemorySegment out)
      throws IOException {
    Scales scales = Scales.of(weight.encoding(), cols);
    long first = firstRow / scales.rows() * scales.rows();
    long loaded = firstRow + rows - first;
    MemorySegment codes = memory.asSlice(0, codeBytes(weight, loaded, cols));
    load(weight.codes(), codeBytes(weight, first, cols), codes);
    long scalesAt = align(codes.byteSize());
    MemorySegment stored = memory.asSlice(scalesAt, scales.bytes(loaded));
    if (weight.scale().isPresent()) {
      long skipped = scales.bytes(first);
      load(weight.scale().get(), skipped, stored);
      checkScales(weight.scale().get(), skipped, scales.type(), stored);
    }
    long scratchAt = scalesAt + align(stored.byteSize());
    Tile tile = new Tile(weight.encoding(), codes, 0, stored, 0, loaded, cols);
    TileDecoder decoder = new TileDecoder(kernels, tile, memory, scratchAt);
    for (long row = 0; row < rows; row++) {
      decoder.read(firstRow - first + row, 0, cols, out, row * cols * Float.BYTES);
    }
  }

  private void load(SourceTensor tensor, long offset, MemorySegment into) throws IOException {
    shards.file(tensor.file()).read(Math.addExact(tensor.offset(), offset), into);
  }

  private static void checkScales(
      SourceTensor tensor, long skipped, ElementType type, MemorySegment scales) {
    long width = type.bytes(1);
    for (long at = 0; at < scales.byteSize(); at += width) {
      float scale =
          switch (type) {
            case BF16 -> Float.intBitsToFloat(scales.get(U16, at) << 16);
            case F16 -> Float.float16ToFloat(scales.get(U16, at));
            default -> scales.get(F32, at);
          };
      if (!(scale > 0) || Float.isInfinite(scale)) {
        throw corrupt(tensor, skipped + at, "the decode scale " + scale, "positive finite scales");
      }
    }
  }

  /// A refusal of a number of the source.
  ///
  /// @param offset from the start of the tensor, in bytes
  static BadInputException corrupt(
      SourceTensor tensor, long offset, String found, String expected) {
    return new BadInputException(
        tensor.file() + ", tensor " + tensor.name() + ", byte " + (tensor.offset() + offset),
        found,
        expected,
        "the source is corrupt here: fetch the file again and compare its checksum");
  }
}
