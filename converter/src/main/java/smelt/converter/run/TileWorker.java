package smelt.converter.run;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import smelt.converter.plan.Job;
import smelt.formats.BadInputException;
import smelt.formats.ElementType;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.Kernels;
import smelt.formats.codec.NonFiniteException;
import smelt.formats.codec.ScaleFormat;
import smelt.formats.codec.Tile;
import smelt.formats.codec.Transcoder;
import smelt.formats.source.SourceFiles;

/// Reads a tile of a weight once and writes it for every target. Has the buffers of one thread.
final class TileWorker {

  private final SourceFiles source;
  private final Kernels kernels;
  private final MemorySegment codesIn;
  private final MemorySegment scalesIn;
  private final MemorySegment codesOut;
  private final MemorySegment scalesOut;
  private final MemorySegment scratch;
  private final ExpertWriter experts;
  private final BlockWriter blocks;

  /// @param arena owns the buffers; lives at least as long as this worker
  TileWorker(SourceFiles source, Kernels kernels, MemoryPlan.Buffers sizes, Arena arena) {
    this.source = source;
    this.kernels = kernels;
    this.codesIn = arena.allocate(sizes.codesIn(), 64);
    this.scalesIn = arena.allocate(sizes.scalesIn(), 64);
    this.codesOut = arena.allocate(sizes.codesOut(), 64);
    this.scalesOut = arena.allocate(sizes.scalesOut(), 64);
    this.scratch = arena.allocate(sizes.scratch(), 64);
    this.experts = new ExpertWriter(kernels, codesOut, scalesOut, scratch);
    this.blocks = new BlockWriter(kernels, codesOut, scratch);
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
            from.codeBytes(tile.row() * shape.cols()),
            from.codeBytes(rows * shape.cols()),
            codesIn);
    MemorySegment scales = MemorySegment.NULL;
    if (weight.scale().isPresent()) {
      SourceTensor stored = weight.scale().get();
      ScaleRange range = ScaleRange.of(from, tile.row(), rows, shape.cols(), stored.type());
      scales = read(stored, range.offset(), range.bytes(), scalesIn);
    }
    Tile in = new Tile(from, codes, 0, scales, 0, rows, shape.cols());
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

  private void convertAll(UnitRun.Tile tile, Tile in) throws IOException {
    for (Job.Output output : tile.job().outputs()) {
      switch (output) {
        case Job.Output.Tensor tensor -> convert(tile, tensor, in);
        case Job.Output.Experts expert -> {
          refuseLeastInt8(tile, in);
          experts.write(tile, expert, in);
        }
        case Job.Output.Blocks rows -> blocks.write(tile, rows, in);
      }
    }
  }

  private void convert(UnitRun.Tile tile, Job.Output.Tensor output, Tile in) throws IOException {
    if (tile.job().copies(output)) {
      Transcoder.check(kernels, in, scratch);
      refuseLeastInt8(tile, in);
      write(tile, output, in);
    } else {
      Tile out = new Tile(output.encoding(), codesOut, 0, scalesOut, 0, in.rows(), in.cols());
      Transcoder.transcode(kernels, in, out, scratch);
      write(tile, output, out);
    }
  }

  /// Nothing that is written holds -128, which kernels that negate codes do not expect; a copy
  /// would.
  private static void refuseLeastInt8(UnitRun.Tile tile, Tile in) {
    if (in.encoding() instanceof Encoding.Plain || in.encoding().type() != ElementType.I8) {
      return;
    }
    for (long i = 0; i < in.rows() * in.cols(); i++) {
      if (in.codes().get(ValueLayout.JAVA_BYTE, in.codesOffset() + i) == Byte.MIN_VALUE) {
        SourceTensor codes = tile.job().weight().codes();
        long index = tile.row() * in.cols() + i;
        throw new BadInputException(
            codes.file() + ", tensor " + codes.name() + ", byte " + (codes.offset() + index),
            "INT8 code -128 at index " + index,
            "codes from -127 to 127",
            "convert from the checkpoint that this one was quantized from");
      }
    }
  }

  private void write(UnitRun.Tile tile, Job.Output.Tensor output, Tile out) throws IOException {
    ShardWriter shard = tile.unit().shard(output.target());
    long cols = out.cols();
    shard.write(
        output.name(),
        out.encoding().codeBytes(tile.row() * cols),
        out.codes().asSlice(0, out.encoding().codeBytes(out.rows() * cols)));
    if (output.scale().isPresent()) {
      ScaleRange range =
          ScaleRange.of(out.encoding(), tile.row(), out.rows(), cols, ElementType.F32);
      shard.write(output.scale().get(), range.offset(), out.scales().asSlice(0, range.bytes()));
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

  /// Adds to a codec's complaint which tensor, index and byte it is about.
  private static BadInputException named(NonFiniteException e, UnitRun.Tile tile) {
    Weight weight = tile.job().weight();
    return switch (e.place()) {
      case NonFiniteException.Place.Weight(long row, long col) -> {
        long index = (tile.row() + row) * tile.shape().cols() + col;
        String at = "at row " + (tile.row() + row) + ", column " + col;
        yield named(weight.codes(), index, e.value() + " " + at, "finite weights");
      }
      case NonFiniteException.Place.Scale(long inTile) -> {
        SourceTensor scale = weight.scale().orElseThrow();
        Encoding from = weight.encoding();
        long rowBytes = TileShape.scaleRowBytes(from, tile.shape().cols(), ElementType.U8);
        long index = TileShape.scaleRow(from, tile.row()) * rowBytes + inTile;
        yield named(scale, index, e.value() + " at index " + index, expectedScale(from));
      }
    };
  }

  private static String expectedScale(Encoding encoding) {
    boolean powers =
        encoding instanceof Encoding.Block block && block.scaleFormat() == ScaleFormat.UE8M0;
    return powers ? "decode scales that are powers of two" : "positive finite decode scales";
  }

  private static BadInputException named(
      SourceTensor tensor, long index, String found, String expected) {
    long offset = tensor.offset() + TileShape.bytes(tensor.type(), index);
    return new BadInputException(
        tensor.file() + ", tensor " + tensor.name() + ", byte " + offset,
        found,
        expected,
        "the source is corrupt here: fetch the file again and compare its checksum");
  }
}
