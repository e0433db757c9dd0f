package smelt.converter.run;

import static java.nio.ByteOrder.LITTLE_ENDIAN;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Optional;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.smooth.FoldedRows;
import smelt.calibrate.solve.NeverWorse;
import smelt.calibrate.solve.OutputRescale;
import smelt.calibrate.solve.RowGrid;
import smelt.calibrate.solve.RowGrid.ScaleType;
import smelt.calibrate.solve.RowSolver;
import smelt.converter.plan.Job;
import smelt.converter.plan.JudgedRows;
import smelt.converter.recipe.Calibrated;
import smelt.converter.recipe.Solver;
import smelt.converter.tuning.Tuning;
import smelt.formats.ElementType;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.Kernels;
import smelt.formats.codec.Tile;
import smelt.formats.codec.TileDecoder;
import smelt.formats.codec.Transcoder;

/// Rows of a tile as a calibration has them: multiplied by factors, or as codes and scales that a
/// solver has chosen. Has the buffer of one thread; what it gives is valid until it is asked again.
final class TunedRows {

  /// Rows that are decoded and solved together.
  private static final long CHUNK = 48;

  private static final ValueLayout.OfFloat F32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(LITTLE_ENDIAN);
  private static final ValueLayout.OfShort U16 =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(LITTLE_ENDIAN);

  /// Codes of a tile, one signed byte each, and their F32 scales, row after row.
  ///
  /// @param judged rows that were held against plainly rounded ones, and those that are plain
  record Solved(MemorySegment codes, MemorySegment scales, JudgedRows judged) {}

  private final Kernels kernels;
  private final MemorySegment numbers;
  private final MemorySegment scratch;

  /// @param numbers `bytes` of the largest tile
  TunedRows(Kernels kernels, MemorySegment numbers, MemorySegment scratch) {
    this.kernels = kernels;
    this.numbers = numbers;
    this.scratch = scratch;
  }

  /// Bytes of the buffer, and of what a solver takes while it works, for tiles of a job that one
  /// target has a say in; 0 where it has none.
  static long bytes(Calibrated calibrated, Job job, Job.Output output, TileShape tile) {
    long elements = Math.multiplyExact(tile.tileRows(), tile.cols());
    long folded =
        calibrated.smooth().isEmpty() ? 0 : Math.multiplyExact(elements, (long) Float.BYTES);
    Optional<RowGrid> grid = grid(output, tile.cols());
    Solver chosen = calibrated.solver(job.weight());
    if (grid.isEmpty() || chosen == Solver.ROUNDING) {
      return folded;
    }
    long scales =
        Math.multiplyExact(tile.tileRows(), (long) grid.get().groups(tile.cols()) * Float.BYTES);
    int cols = Math.toIntExact(tile.cols());
    long solver =
        Math.addExact(RowSolver.mostBytes(grid.get(), cols), NeverWorse.bytes(grid.get(), cols));
    if (chosen.rescales()) {
      solver = Math.addExact(solver, OutputRescale.bytes(cols));
    }
    return Math.max(folded, chunkBytes(tile.cols()) + aligned(scales) + elements + solver);
  }

  /// Bytes of scratch memory.
  static long scratchBytes(Encoding from, long cols) {
    return Math.max(
        TileDecoder.scratchBytes(from, cols), Transcoder.scratchBytes(from, from, cols));
  }

  private static long chunkBytes(long cols) {
    return Matrix.bytes(CHUNK, cols);
  }

  private static long aligned(long bytes) {
    return Math.ceilDiv(bytes, 64) * 64;
  }

  /// What codes and scales of an output may be; empty where no solver can choose them.
  static Optional<RowGrid> grid(Job.Output output, long cols) {
    return switch (output) {
      case Job.Output.Tensor tensor ->
          switch (tensor.encoding()) {
            case Encoding.Channel channel when channel.type() == ElementType.I8 ->
                Optional.of(
                    RowGrid.wholeRow(Math.toIntExact(cols), 127, scales(channel.scaleType())));
            case Encoding.Int4 int4 ->
                Optional.of(new RowGrid(int4.group(), 7, scales(int4.scaleType())));
            case Encoding.Channel _, Encoding.Plain _, Encoding.Block _, Encoding.Ggml _ ->
                Optional.empty();
          };
      case Job.Output.Experts experts ->
          Optional.of(
              RowGrid.wholeRow(Math.toIntExact(cols), experts.format().largest(), ScaleType.F32));
      case Job.Output.Blocks _ -> Optional.empty();
    };
  }

  private static ScaleType scales(ElementType type) {
    return switch (type) {
      case F32 -> ScaleType.F32;
      case BF16 -> ScaleType.BF16;
      default -> throw new IllegalStateException("scales of " + type);
    };
  }

  /// The tile's numbers, multiplied by factors.
  ///
  /// @param firstRow number of the tile's first row in the weight
  /// @throws smelt.formats.codec.NonFiniteException for numbers that are no finite ones
  Tile fold(Tile in, long firstRow, FoldedRows factors) {
    Transcoder.check(kernels, in, scratch);
    TileDecoder decoder = new TileDecoder(kernels, in, scratch, 0);
    long rowBytes = in.cols() * Float.BYTES;
    for (long row = 0; row < in.rows(); row++) {
      decoder.read(row, 0, in.cols(), numbers, row * rowBytes);
      factors.multiply(firstRow + row, 1, Math.toIntExact(in.cols()), numbers, row * rowBytes);
    }
    return Tile.plain(ElementType.F32, numbers, 0, in.rows(), in.cols());
  }

  /// The tile's codes and scales as a method chooses them, but for rows that plain rounding serves
  /// better on tokens that the method has not seen.
  ///
  /// @throws smelt.formats.codec.NonFiniteException for numbers that are no finite ones
  Solved solve(Tile in, RowGrid grid, Tuning.Held held) {
    Transcoder.check(kernels, in, scratch);
    int cols = Math.toIntExact(in.cols());
    long groups = grid.groups(cols);
    MemorySegment scales = numbers.asSlice(chunkBytes(cols), in.rows() * groups * Float.BYTES);
    MemorySegment codes =
        numbers.asSlice(
            chunkBytes(cols) + aligned(scales.byteSize()), Math.multiplyExact(in.rows(), cols));
    TileDecoder decoder = new TileDecoder(kernels, in, scratch, 0);
    try (Arena arena = Arena.ofConfined()) {
      RowSolver solver = new RowSolver(kernels, grid, held.method(), cols, arena);
      Optional<OutputRescale> rescale = held.rescale(grid, cols, arena);
      Optional<NeverWorse> guard = held.guard(grid, cols, arena);
      long plain = 0;
      for (long row = 0; row < in.rows(); row += CHUNK) {
        long rows = Math.min(CHUNK, in.rows() - row);
        for (long r = 0; r < rows; r++) {
          decoder.read(row + r, 0, cols, numbers, r * cols * Float.BYTES);
        }
        Matrix weights = new Matrix(numbers, 0, rows, cols, cols);
        MemorySegment someCodes = codes.asSlice(row * cols, rows * cols);
        MemorySegment someScales =
            scales.asSlice(row * groups * Float.BYTES, rows * groups * Float.BYTES);
        solver.solve(weights, someCodes, someScales);
        rescale.ifPresent(fit -> fit.apply(weights, someCodes, someScales));
        if (guard.isPresent()) {
          plain += guard.get().keepBetter(weights, someCodes, someScales).plainRows().size();
        }
      }
      long judged = guard.isPresent() ? in.rows() : 0;
      return new Solved(codes, scales, new JudgedRows(in.rows(), judged, plain));
    }
  }

  /// Codes and scales as a tile of an encoding, in other buffers.
  static Tile encoded(
      Solved solved, Encoding to, long rows, long cols, MemorySegment codes, MemorySegment scales) {
    long count = rows * cols;
    if (to instanceof Encoding.Int4) {
      for (long i = 0; i < count; i += 2) {
        int low = solved.codes().get(ValueLayout.JAVA_BYTE, i) + 8;
        int high = solved.codes().get(ValueLayout.JAVA_BYTE, i + 1) + 8;
        codes.set(ValueLayout.JAVA_BYTE, i / 2, (byte) (high << 4 | low));
      }
    } else {
      MemorySegment.copy(solved.codes(), 0, codes, 0, count);
    }
    long stored = solved.scales().byteSize() / Float.BYTES;
    boolean wide = to.scales().orElseThrow() == ElementType.F32;
    for (long i = 0; i < stored; i++) {
      float scale = solved.scales().getAtIndex(F32, i);
      if (wide) {
        scales.setAtIndex(F32, i, scale);
      } else {
        scales.setAtIndex(U16, i, (short) (Float.floatToRawIntBits(scale) >>> 16));
      }
    }
    return new Tile(to, codes, 0, scales, 0, rows, cols);
  }
}
