package smelt.calibrate.model;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import smelt.calibrate.math.Matrix;
import smelt.formats.Shape;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.Kernels;
import smelt.formats.codec.Tile;
import smelt.formats.codec.Transcoder;
import smelt.formats.source.ModelSource;
import smelt.formats.source.SourceFiles;

/// Reads weights as tiles of whole rows, through one buffer: codes first, their scales behind them.
/// A tile is valid until the next one is read. A vector is one row.
///
/// A tile of a block encoding either begins at a row of blocks or lies inside one, so its first
/// scales are those of its first row.
public final class WeightStream implements AutoCloseable {

  /// What is done with a tile that begins at row `row` of what was asked for.
  @FunctionalInterface
  public interface TileUse {
    void use(Tile tile, long row) throws IOException;
  }

  private final SourceFiles files;
  private final MemorySegment buffer;
  private final Map<Weight, Held> held = new HashMap<>();
  private long bytesRead;

  /// A weight that stays in memory.
  private record Held(MemorySegment codes, MemorySegment scales) {}

  /// @param source stays open until this is closed
  /// @param buffer at least [#leastBuffer] of every weight that is read
  public WeightStream(ModelSource source, MemorySegment buffer) {
    this.files = new SourceFiles(source);
    this.buffer = buffer;
  }

  /// Bytes of buffer without which a weight cannot be read: a row of its blocks, or one row. Of
  /// blocks as high as the weight one row will do.
  public static long leastBuffer(Weight weight) {
    Grid grid = Grid.of(weight);
    return grid.blockRows() < rows(weight) ? grid.blockRowBytes() : grid.leastBytes();
  }

  /// Rows of a weight; a vector is one.
  public static long rows(Weight weight) {
    return weight.shape().rank() == 2 ? weight.shape().dim(0) : 1;
  }

  /// Numbers of a row.
  public static long cols(Weight weight) {
    return weight.shape().rank() == 2 ? weight.shape().dim(1) : weight.shape().elements();
  }

  /// Bytes of scratch that holding a weight takes.
  static long heldBytes(Weight weight) {
    long scales = weight.scale().map(SourceTensor::bytes).orElse(0L);
    return Scratch.aligned(weight.codes().bytes()) + Scratch.aligned(scales);
  }

  /// Reads weights into scratch memory; until [#letGo] they are read from there. Those that are
  /// held already stay as they are.
  void hold(List<Weight> weights, Scratch scratch) throws IOException {
    for (Weight weight : weights) {
      if (!held.containsKey(weight)) {
        MemorySegment codes = scratch.bytes(weight.codes().bytes());
        fill(weight.codes(), 0, codes);
        MemorySegment scales = MemorySegment.NULL;
        if (weight.scale().isPresent()) {
          scales = scratch.bytes(weight.scale().get().bytes());
          fill(weight.scale().get(), 0, scales);
        }
        held.put(weight, new Held(codes, scales));
      }
    }
  }

  /// Forgets what is held, of these weights. The caller releases the scratch.
  void letGo(List<Weight> weights) {
    weights.forEach(held::remove);
  }

  /// Reads rows `first` to `first + count` of a weight, in order, in as few tiles as the buffer
  /// allows.
  public void read(Weight weight, long first, long count, TileUse use) throws IOException {
    Objects.checkFromIndexSize(first, count, rows(weight));
    Grid grid = Grid.of(weight);
    long row = first;
    while (row < first + count) {
      Held inMemory = held.get(weight);
      long room = inMemory == null ? buffer.byteSize() : Long.MAX_VALUE;
      long rows = Math.min(first + count - row, grid.rowsFrom(row, room));
      Tile tile =
          inMemory == null
              ? tile(weight, grid, row, rows)
              : tile(weight, grid, row, rows, inMemory);
      use.use(tile, row - first);
      row += rows;
    }
  }

  private Tile tile(Weight weight, Grid grid, long row, long rows) throws IOException {
    long codeBytes = rows * grid.rowBytes();
    fill(weight.codes(), row * grid.rowBytes(), buffer.asSlice(0, codeBytes));
    if (weight.scale().isEmpty()) {
      return new Tile(weight.encoding(), buffer, 0, MemorySegment.NULL, 0, rows, grid.cols());
    }
    long scaleBytes = grid.scaleRows(rows) * grid.scaleRowBytes();
    long scaleAt = row / grid.blockRows() * grid.scaleRowBytes();
    fill(weight.scale().get(), scaleAt, buffer.asSlice(codeBytes, scaleBytes));
    return new Tile(weight.encoding(), buffer, 0, buffer, codeBytes, rows, grid.cols());
  }

  private static Tile tile(Weight weight, Grid grid, long row, long rows, Held held) {
    return new Tile(
        weight.encoding(),
        held.codes,
        row * grid.rowBytes(),
        held.scales,
        row / grid.blockRows() * grid.scaleRowBytes(),
        rows,
        grid.cols());
  }

  /// Reads stored bytes of a tensor from byte `at` on.
  void fill(SourceTensor tensor, long at, MemorySegment into) throws IOException {
    Objects.checkFromIndexSize(at, into.byteSize(), tensor.bytes());
    files.file(tensor.file()).read(Math.addExact(tensor.offset(), at), into);
    bytesRead += into.byteSize();
  }

  /// Decodes rows of a weight.
  ///
  /// @param out as many rows and columns as are asked for
  /// @throws smelt.formats.codec.NonFiniteException for values that are NaN or infinite
  void decode(Kernels kernels, Weight weight, long first, Matrix out, Scratch scratch)
      throws IOException {
    if (out.stride() != out.cols()) {
      throw new IllegalArgumentException("rows that do not follow each other");
    }
    Encoding f32 = new Encoding.Plain(smelt.formats.ElementType.F32);
    long need = Transcoder.scratchBytes(weight.encoding(), f32, out.cols());
    long mark = scratch.mark();
    MemorySegment work = scratch.bytes(need);
    read(
        weight,
        first,
        out.rows(),
        (tile, row) -> {
          Tile to = Tile.plain(f32.type(), out.data(), out.at(row, 0), tile.rows(), tile.cols());
          Transcoder.transcode(kernels, tile, to, work);
        });
    scratch.release(mark);
  }

  long bytesRead() {
    return bytesRead;
  }

  /// @throws smelt.formats.BadInputException if a file that was read has changed since
  public void checkUnchanged() throws IOException {
    files.checkUnchanged();
  }

  @Override
  public void close() throws IOException {
    files.close();
  }

  /// How a weight's rows and the rows of its scales lie.
  ///
  /// @param blockRows rows that share a row of scales
  /// @param scaleRowBytes bytes of a row of scales; 0 where there are none
  private record Grid(long cols, long rowBytes, long blockRows, long scaleRowBytes) {

    static Grid of(Weight weight) {
      long cols = WeightStream.cols(weight);
      long rowBytes = weight.encoding().codeBytes(cols);
      return switch (weight.encoding()) {
        case Encoding.Plain _, Encoding.Ggml _ -> new Grid(cols, rowBytes, 1, 0);
        case Encoding.Channel c -> new Grid(cols, rowBytes, 1, c.scaleType().bytes(1));
        case Encoding.Block b -> {
          long perRow = b.scaleShape(Shape.of(1, cols)).orElseThrow().elements();
          yield new Grid(cols, rowBytes, b.blockRows(), b.scaleType().bytes(perRow));
        }
        case Encoding.Int4 i -> new Grid(cols, rowBytes, 1, i.scaleType().bytes(cols / i.group()));
      };
    }

    long scaleRows(long rows) {
      return Math.ceilDiv(rows, blockRows);
    }

    /// Bytes of a row and the scales of it.
    long leastBytes() {
      return Math.addExact(rowBytes, scaleRowBytes);
    }

    /// Bytes of the rows that share a row of scales, and of these.
    long blockRowBytes() {
      return Math.addExact(Math.multiplyExact(blockRows, rowBytes), scaleRowBytes);
    }

    /// Rows of the largest tile that begins at `row` and fits into so many bytes.
    long rowsFrom(long row, long bytes) {
      long intoBlock = row % blockRows;
      long blocks = bytes / blockRowBytes();
      if (intoBlock == 0 && blocks > 0) {
        return blocks * blockRows;
      }
      long rows = Math.min(blockRows - intoBlock, (bytes - scaleRowBytes) / rowBytes);
      if (rows < 1) {
        throw new IllegalStateException("a buffer of " + bytes + " bytes, needs " + leastBytes());
      }
      return rows;
    }
  }
}
