package smelt.converter.run;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import smelt.calibrate.smooth.FoldedRows;
import smelt.calibrate.solve.RowGrid;
import smelt.converter.plan.Job;
import smelt.converter.tuning.Tuning;
import smelt.formats.BadInputException;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.DeviceTranscoder;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.Kernels;
import smelt.formats.codec.NonFiniteException;
import smelt.formats.codec.ScaleFormat;
import smelt.formats.codec.Tile;
import smelt.formats.codec.Transcoder;
import smelt.formats.experts.ExpertPacker;
import smelt.formats.source.SourceFiles;

/// Reads a tile of a weight once and writes it for every target. Has the buffers of one thread.
final class TileWorker implements AutoCloseable {

  /// The lowest bit of each of 16 codes.
  private static final long LOW_BITS = 0x1111_1111_1111_1111L;

  private static final long PAGE = 4096;

  private static final ValueLayout.OfFloat F32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfInt I32 =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfLong I64 =
      ValueLayout.JAVA_LONG.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final SourceFiles source;
  private final Kernels kernels;
  private final Optional<DeviceTranscoder> device;
  private final List<DeviceTranscoder.Pinned> pinned = new ArrayList<>();
  private final MemorySegment codesIn;
  private final MemorySegment scalesIn;
  private final MemorySegment codesOut;
  private final MemorySegment scalesOut;
  private final MemorySegment scratch;
  private final ExpertWriter experts;
  private final BlockWriter blocks;
  private final Tuning tuning;
  private final TunedRows tuned;

  /// @param arena owns the buffers; lives longer than this worker
  TileWorker(SourceFiles source, Conversion.Means means, MemoryPlan.Buffers sizes, Arena arena) {
    this.source = source;
    this.kernels = means.kernels();
    this.device = means.device();
    this.tuning = means.tuning();
    this.codesIn = buffer(arena, sizes.codesIn());
    this.scalesIn = buffer(arena, sizes.scalesIn());
    this.codesOut = buffer(arena, sizes.codesOut());
    this.scalesOut = buffer(arena, sizes.scalesOut());
    pin();
    this.scratch = arena.allocate(sizes.scratch(), 64);
    this.experts = new ExpertWriter(kernels, codesOut, scalesOut, scratch);
    this.blocks = new BlockWriter(kernels, codesOut, scratch);
    this.tuned = new TunedRows(kernels, arena.allocate(sizes.numbers(), 64), scratch);
  }

  /// What a device is to read and write by itself shares no page with anything else.
  private MemorySegment buffer(Arena arena, long bytes) {
    return device.isEmpty()
        ? arena.allocate(bytes, 64)
        : arena.allocate(Math.ceilDiv(bytes, PAGE) * PAGE, PAGE);
  }

  private void pin() {
    try {
      for (MemorySegment buffer : List.of(codesIn, scalesIn, codesOut, scalesOut)) {
        if (device.isPresent() && buffer.byteSize() > 0) {
          pinned.add(device.get().pin(buffer));
        }
      }
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  /// Lets go of the buffers.
  @Override
  public void close() {
    pinned.forEach(DeviceTranscoder.Pinned::close);
    pinned.clear();
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
    Weight weight = tile.job().weight();
    for (Job.Output output : tile.job().outputs()) {
      Optional<FoldedRows> factors = tuning.folded(output.target(), weight);
      Tile own = factors.isEmpty() ? in : tuned.fold(in, tile.row(), factors.get());
      Optional<RowGrid> grid = TunedRows.grid(output, in.cols());
      Optional<Tuning.Held> method =
          grid.isEmpty() ? Optional.empty() : tuning.method(output.target(), weight);
      if (method.isEmpty()) {
        convert(tile, output, own);
      } else {
        try (Tuning.Held held = method.get()) {
          TunedRows.Solved solved = tuned.solve(own, grid.get(), held);
          solved(tile, output, own, solved);
          tile.unit().addJudged(output.target(), solved.judged());
        }
      }
    }
  }

  private void convert(UnitRun.Tile tile, Job.Output output, Tile in) throws IOException {
    switch (output) {
      case Job.Output.Tensor tensor -> convert(tile, tensor, in);
      case Job.Output.Experts expert -> {
        refuseBeyond(
            tile, in, expert.rule() == ExpertPacker.Rule.KEEP ? expert.format().largest() : 127);
        experts.write(tile, expert, in);
      }
      case Job.Output.Blocks rows ->
          blocks.write(
              tile,
              rows,
              in,
              piece -> tuning.importance(rows.target(), tile.job().weight(), piece));
    }
  }

  private void solved(UnitRun.Tile tile, Job.Output output, Tile in, TunedRows.Solved solved)
      throws IOException {
    switch (output) {
      case Job.Output.Tensor tensor ->
          write(
              tile,
              tensor,
              TunedRows.encoded(
                  solved, tensor.encoding(), in.rows(), in.cols(), codesOut, scalesOut));
      case Job.Output.Experts expert -> experts.write(tile, expert, in, solved);
      case Job.Output.Blocks _ -> throw new IllegalStateException("blocks that a solver chose");
    }
  }

  private void convert(UnitRun.Tile tile, Job.Output.Tensor output, Tile in) throws IOException {
    boolean same = in.encoding().equals(tile.job().weight().encoding());
    if (same && tile.job().copies(output) || in.encoding().equals(output.encoding())) {
      Transcoder.check(kernels, in, scratch);
      refuseLeast(tile, output.encoding(), in);
      write(tile, output, in);
    } else {
      Tile out = new Tile(output.encoding(), codesOut, 0, scalesOut, 0, in.rows(), in.cols());
      if (same && device.isPresent() && device.get().supports(in.encoding(), out.encoding())) {
        device.get().transcode(in, out);
      } else {
        Transcoder.transcode(kernels, in, out, scratch);
      }
      write(tile, output, out);
    }
  }

  /// Refuses codes that a copy would carry on and kernels of the output do not expect: INT8 of
  /// -128, which they cannot negate, and INT4 below the least that the output allows.
  private static void refuseLeast(UnitRun.Tile tile, Encoding output, Tile in) {
    if (output instanceof Encoding.Int4 to) {
      if (to.least() == -7) {
        refuseLeastInt4(tile, in);
      }
    } else {
      refuseLeastInt8(tile, in);
    }
  }

  private static void refuseLeastInt8(UnitRun.Tile tile, Tile in) {
    refuseBeyond(tile, in, 127);
  }

  /// Refuses INT8 codes of a larger magnitude.
  private static void refuseBeyond(UnitRun.Tile tile, Tile in, int largest) {
    if (in.encoding() instanceof Encoding.Plain || in.encoding().type() != ElementType.I8) {
      return;
    }
    for (long i = 0; i < in.rows() * in.cols(); i++) {
      int code = in.codes().get(ValueLayout.JAVA_BYTE, in.codesOffset() + i);
      if (Math.abs(code) > largest) {
        String found = (largest == 127 ? "INT8 code " : "code ") + code;
        throw leastCode(tile, in, i, i, found, "codes from -" + largest + " to " + largest);
      }
    }
  }

  /// -8 is stored as 0: 16 codes are searched at a time.
  private static void refuseLeastInt4(UnitRun.Tile tile, Tile in) {
    long bytes = in.encoding().codeBytes(in.rows() * in.cols());
    for (long at = 0; at < bytes; at += Long.BYTES) {
      int count = (int) Math.min(Long.BYTES, bytes - at);
      long word = LOW_BITS;
      for (int b = 0; b < count; b++) {
        long codes = in.codes().get(ValueLayout.JAVA_BYTE, in.codesOffset() + at + b) & 0xFFL;
        word = word & ~(0xFFL << (8 * b)) | codes << (8 * b);
      }
      long zeros = (word - LOW_BITS) & ~word & LOW_BITS << 3;
      if (zeros != 0) {
        long code = 2 * at + Long.numberOfTrailingZeros(zeros) / 4;
        throw leastCode(tile, in, code, code / 2, "INT4 code -8", "codes from -7 to 7");
      }
    }
  }

  private static BadInputException leastCode(
      UnitRun.Tile tile, Tile in, long code, long at, String found, String expected) {
    SourceTensor codes = tile.job().weight().codes();
    long before = tile.row() * in.cols();
    return new BadInputException(
        codes.file()
            + ", tensor "
            + codes.name()
            + ", byte "
            + (codes.offset() + in.encoding().codeBytes(before) + at),
        found + " at index " + (before + code),
        expected,
        "convert from the checkpoint that this one was quantized from; or convert this one to bf16,"
            + " and that further");
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
          ScaleRange.of(
              out.encoding(), tile.row(), out.rows(), cols, out.encoding().scales().orElseThrow());
      shard.write(output.scale().get(), range.offset(), out.scales().asSlice(0, range.bytes()));
    }
    if (output.inputs().isPresent()) {
      writeInputs(tile, output.inputs().get(), out, shard);
    }
    if (output.offset().isPresent()) {
      MemorySegment zeros = scalesOut.asSlice(0, out.rows() * Float.BYTES).fill((byte) 0);
      shard.write(output.offset().get(), tile.row() * Float.BYTES, zeros);
    }
    if (output.shape().isPresent() && tile.row() == 0) {
      writeShape(shard, output.shape().get(), tile.job().weight().shape());
    }
  }

  /// What a static rounding of inputs needs: for all rows a scale and an offset, and for each row
  /// what the offset adds to its sum, and the scale of the sum. Sums of codes are exact.
  private void writeInputs(UnitRun.Tile tile, Job.StaticInputs names, Tile out, ShardWriter shard)
      throws IOException {
    Tuning.StaticInput input = tuning.staticInput(tile.job().weight());
    long bytes = out.rows() * Integer.BYTES;
    try (Arena arena = Arena.ofConfined()) {
      if (tile.row() == 0) {
        shard.write(names.scale(), 0, arena.allocateFrom(F32, input.scale()));
        shard.write(names.offset(), 0, arena.allocateFrom(F32, input.offset()));
      }
      MemorySegment bias = arena.allocate(bytes);
      MemorySegment sums = arena.allocate(bytes);
      for (long row = 0; row < out.rows(); row++) {
        long codes = 0;
        for (long col = 0; col < out.cols(); col++) {
          codes +=
              out.codes().get(ValueLayout.JAVA_BYTE, out.codesOffset() + row * out.cols() + col);
        }
        bias.setAtIndex(I32, row, Math.toIntExact(-codes * input.offset()));
        float scale = out.scales().get(F32, out.scalesOffset() + row * Float.BYTES);
        sums.setAtIndex(F32, row, scale * input.scale());
      }
      shard.write(names.bias(), tile.row() * Integer.BYTES, bias);
      shard.write(names.sums(), tile.row() * Float.BYTES, sums);
    }
  }

  /// Rows and columns, as packed codes do not show them.
  private static void writeShape(ShardWriter shard, String name, Shape weight) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      shard.write(name, 0, arena.allocateFrom(I64, weight.dim(0), weight.dim(1)));
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
