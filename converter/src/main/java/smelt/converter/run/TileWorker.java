package smelt.converter.run;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import smelt.converter.plan.Job;
import smelt.formats.BadInputException;
import smelt.formats.ElementType;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.Kernels;
import smelt.formats.codec.NonFiniteException;
import smelt.formats.codec.Transcoder;

/// Reads a tile of a weight once and writes it for every target. Has the buffers of one thread.
final class TileWorker {

  private final SourceFiles source;
  private final Kernels kernels;
  private final MemorySegment codesIn;
  private final MemorySegment scalesIn;
  private final MemorySegment codesOut;
  private final MemorySegment scalesOut;
  private final MemorySegment scratch;

  /// @param arena owns the buffers; lives at least as long as this worker
  TileWorker(SourceFiles source, Kernels kernels, MemoryPlan.Buffers sizes, Arena arena) {
    this.source = source;
    this.kernels = kernels;
    this.codesIn = arena.allocate(sizes.codesIn(), 64);
    this.scalesIn = arena.allocate(sizes.scalesIn(), 64);
    this.codesOut = arena.allocate(sizes.codesOut(), 64);
    this.scalesOut = arena.allocate(sizes.scalesOut(), 64);
    this.scratch = arena.allocate(sizes.scratch(), 64);
  }

  /// Converts one tile.
  ///
  /// @return bytes read from the source
  /// @throws BadInputException if the tile holds what is no finite number, or its scales are unfit
  long convert(UnitRun.Tile tile) throws IOException {
    Weight weight = tile.job().weight();
    Encoding from = weight.encoding();
    TileShape shape = tile.shape();
    long rows = shape.rowsAt(tile.row());
    MemorySegment codes =
        read(
            weight.codes(),
            TileShape.bytes(from.type(), tile.row() * shape.cols()),
            TileShape.bytes(from.type(), rows * shape.cols()),
            codesIn);
    MemorySegment scales = MemorySegment.NULL;
    if (weight.scale().isPresent()) {
      SourceTensor stored = weight.scale().get();
      ScaleRange range = ScaleRange.of(from, tile.row(), rows, shape.cols(), stored.type());
      scales = read(stored, range.offset(), range.bytes(), scalesIn);
    }
    Transcoder.Tile in = new Transcoder.Tile(from, codes, 0, scales, 0, rows, shape.cols());
    try {
      convertAll(tile, in);
    } catch (NonFiniteException e) {
      throw named(e, tile);
    }
    return codes.byteSize() + scales.byteSize();
  }

  private MemorySegment read(SourceTensor tensor, long offset, long bytes, MemorySegment buffer)
      throws IOException {
    MemorySegment into = buffer.asSlice(0, bytes);
    source.file(tensor.file()).read(Math.addExact(tensor.offset(), offset), into);
    return into;
  }

  private void convertAll(UnitRun.Tile tile, Transcoder.Tile in) throws IOException {
    boolean checked = false;
    for (Job.Output output : tile.job().outputs()) {
      if (tile.job().copies(output)) {
        if (!checked) {
          Transcoder.check(kernels, in);
          checked = true;
        }
        write(tile, output, in);
      } else {
        Transcoder.Tile out =
            new Transcoder.Tile(
                output.encoding(), codesOut, 0, scalesOut, 0, in.rows(), in.cols());
        Transcoder.transcode(kernels, in, out, scratch);
        write(tile, output, out);
      }
    }
  }

  private void write(UnitRun.Tile tile, Job.Output output, Transcoder.Tile out)
      throws IOException {
    ShardWriter shard = tile.unit().shard(output.target());
    ElementType type = out.encoding().type();
    long cols = out.cols();
    shard.write(
        tile.job().weight().name(),
        TileShape.bytes(type, tile.row() * cols),
        out.codes().asSlice(0, TileShape.bytes(type, out.rows() * cols)));
    if (output.scale().isPresent()) {
      ElementType scaleType =
          tile.job().copies(output)
              ? tile.job().weight().scale().orElseThrow().type()
              : ElementType.F32;
      ScaleRange range = ScaleRange.of(out.encoding(), tile.row(), out.rows(), cols, scaleType);
      shard.write(
          output.scale().get(), range.offset(), out.scales().asSlice(0, range.bytes()));
    }
    if (output.offset().isPresent()) {
      MemorySegment zeros = scalesOut.asSlice(0, out.rows() * Float.BYTES).fill((byte) 0);
      shard.write(output.offset().get(), tile.row() * Float.BYTES, zeros);
    }
  }

  /// Where a tile's scales lie in their tensor.
  private record ScaleRange(long offset, long bytes) {
    static ScaleRange of(Encoding encoding, long row, long rows, long cols, ElementType type) {
      long rowBytes = TileShape.scaleRowBytes(encoding, cols, type);
      long first = TileShape.scaleRow(encoding, row);
      long end = TileShape.scaleRow(encoding, row + rows);
      return new ScaleRange(first * rowBytes, (end - first) * rowBytes);
    }
  }

  private static BadInputException named(NonFiniteException e, UnitRun.Tile tile) {
    Weight weight = tile.job().weight();
    boolean inScale = e.inScale();
    SourceTensor tensor = inScale ? weight.scale().orElseThrow() : weight.codes();
    long cols = inScale ? tensor.shape().elements() / Math.max(1, tensor.shape().dim(0)) : tile.shape().cols();
    long firstRow =
        inScale ? TileShape.scaleRow(weight.encoding(), tile.row()) : tile.row();
    long index = Math.addExact(Math.multiplyExact(firstRow + e.row(), cols), e.col());
    long offset = tensor.offset() + TileShape.bytes(tensor.type(), index);
    return new BadInputException(
        tensor.file() + ", tensor " + tensor.name() + ", byte " + offset,
        e.found() + " at index " + index + " (row " + (firstRow + e.row()) + ", column " + e.col() + ")",
        e.expected(),
        "the source is corrupt here: download the file again and compare its checksum");
  }
}
