package smelt.converter.run;

import static java.nio.ByteOrder.LITTLE_ENDIAN;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Optional;
import java.util.OptionalLong;
import smelt.converter.gguf.RowEncoder;
import smelt.converter.gguf.Slab;
import smelt.converter.plan.Job;
import smelt.formats.BadInputException;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.Kernels;
import smelt.formats.codec.Tile;
import smelt.formats.codec.TileDecoder;
import smelt.formats.codec.Transcoder;
import smelt.formats.gguf.GgmlType;
import smelt.formats.gguf.InterleavedRows;

/// Writes the rows of a tile as blocks of GGUF types. Serves one thread.
final class BlockWriter {

  /// F32 values that are encoded together, unless one row has more.
  private static final long CHUNK = 1L << 16;

  private static final ValueLayout.OfFloat F32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(LITTLE_ENDIAN);

  private static final float[] NONE = {};

  private final Kernels kernels;
  private final MemorySegment codesOut;
  private final MemorySegment scratch;

  BlockWriter(Kernels kernels, MemorySegment codesOut, MemorySegment scratch) {
    this.kernels = kernels;
    this.codesOut = codesOut;
    this.scratch = scratch;
  }

  /// Bytes of the buffers: blocks of a tile's rows, and F32 values of a chunk of them.
  static MemoryPlan.Buffers buffers(Job job, Job.Output.Blocks output, TileShape tile) {
    Encoding from = job.weight().encoding();
    long codes = 0;
    long values = 0;
    for (Job.Piece piece : output.pieces()) {
      long rows = Math.min(piece.rows(), tile.tileRows());
      codes = Math.max(codes, piece.type().bytes(rows * tile.cols()));
      long chunk = rowsAtOnce(piece, tile.cols()) * tile.cols() * Float.BYTES;
      values = Math.max(values, isDirect(piece) ? chunk : 2 * chunk);
    }
    long scratch =
        Math.max(
            Transcoder.scratchBytes(from, from, tile.cols()),
            TileDecoder.scratchBytes(from, tile.cols()) + values);
    return new MemoryPlan.Buffers(0, 0, codes, 0, scratch);
  }

  /// Whether rows are encoded in the place and the order that they have.
  private static boolean isDirect(Job.Piece piece) {
    return piece.order() == Slab.Order.PLAIN && piece.type().interleavedRows() == 1;
  }

  /// Whole groups of the rows that are interleaved.
  private static long rowsAtOnce(Job.Piece piece, long cols) {
    if (piece.order() != Slab.Order.PLAIN) {
      return piece.rows();
    }
    int together = piece.type().interleavedRows();
    return Math.clamp(CHUNK / cols / together * together, together, piece.rows());
  }

  /// How much columns count.
  @FunctionalInterface
  interface Importance {
    /// Of each column of a piece as it lies in the tensor; empty where all count alike.
    Optional<float[]> of(Job.Piece piece) throws IOException;
  }

  void write(UnitRun.Tile tile, Job.Output.Blocks output, Tile in, Importance importance)
      throws IOException {
    Transcoder.check(kernels, in, scratch);
    TileDecoder decoder = new TileDecoder(kernels, in, scratch, 0);
    long end = tile.row() + in.rows();
    for (Job.Piece piece : output.pieces()) {
      long first = Math.max(tile.row(), piece.firstRow());
      long last = Math.min(end, piece.firstRow() + piece.rows());
      if (first < last) {
        float[] weights = importance.of(piece).orElse(NONE);
        long bytes = encode(tile, piece, in, decoder, weights, first, last);
        long at = piece.at() + piece.type().bytes((first - piece.firstRow()) * in.cols());
        tile.unit().shard(output.target()).write(piece.tensor(), at, codesOut.asSlice(0, bytes));
      }
    }
  }

  /// @param weights how much columns count; none where all count alike
  /// @param first row of the weight
  /// @param end one past the last
  private long encode(
      UnitRun.Tile tile,
      Job.Piece piece,
      Tile in,
      TileDecoder decoder,
      float[] weights,
      long first,
      long end) {
    GgmlType type = piece.type();
    long cols = in.cols();
    long valuesAt = TileDecoder.scratchBytes(in.encoding(), cols);
    long atOnce = rowsAtOnce(piece, cols);
    long done = 0;
    for (long row = first; row < end; row += atOnce) {
      long rows = Math.min(atOnce, end - row);
      long bytes = rows * cols * Float.BYTES;
      MemorySegment values = scratch.asSlice(valuesAt, bytes);
      for (long r = 0; r < rows; r++) {
        decoder.read(row - tile.row() + r, 0, cols, values, r * cols * Float.BYTES);
      }
      refuseUnfit(tile, type, values, row, rows * cols);
      MemorySegment turned = scratch.asSlice(valuesAt + bytes);
      values =
          switch (piece.order()) {
            case PLAIN -> values;
            case TRANSPOSED -> turn(values, rows, cols, turned);
            case HALVES_BY_TURNS -> byTurns(values, rows, cols, turned);
          };
      long size = type.bytes(rows * cols);
      long rowElements = piece.order() == Slab.Order.TRANSPOSED ? rows : cols;
      MemorySegment blocks = codesOut.asSlice(done, size);
      if (type.interleavedRows() == 1) {
        RowEncoder.encode(kernels, type, values, weights, blocks, rows * cols, rowElements);
      } else {
        GgmlType plain = type.plain();
        RowEncoder.encode(kernels, plain, values, weights, turned, rows * cols, rowElements);
        InterleavedRows.interleave(type, turned, 0, rows, cols, blocks, 0);
      }
      done += size;
    }
    return done;
  }

  /// Refuses what would be infinite in the type.
  private void refuseUnfit(
      UnitRun.Tile tile, GgmlType type, MemorySegment values, long firstRow, long count) {
    OptionalLong unfit = RowEncoder.firstUnfit(kernels, type, values, count);
    if (unfit.isEmpty()) {
      return;
    }
    long cols = tile.shape().cols();
    long row = firstRow + unfit.getAsLong() / cols;
    long col = unfit.getAsLong() % cols;
    SourceTensor codes = tile.job().weight().codes();
    float value = values.get(F32, unfit.getAsLong() * Float.BYTES);
    throw new BadInputException(
        codes.file() + ", tensor " + codes.name() + ", row " + row + ", column " + col,
        Float.toString(value),
        "a finite " + type,
        "take a type with a wider range, such as bf16");
  }

  /// Makes columns of rows.
  private static MemorySegment turn(
      MemorySegment values, long rows, long cols, MemorySegment turned) {
    for (long row = 0; row < rows; row++) {
      for (long col = 0; col < cols; col++) {
        float value = values.get(F32, (row * cols + col) * Float.BYTES);
        turned.set(F32, (col * rows + row) * Float.BYTES, value);
      }
    }
    return turned;
  }

  /// Puts rows of the first and the second half by turns.
  private static MemorySegment byTurns(
      MemorySegment values, long rows, long cols, MemorySegment turned) {
    long bytes = cols * Float.BYTES;
    for (long row = 0; row < rows; row++) {
      long from = row / 2 + row % 2 * (rows / 2);
      MemorySegment.copy(values, from * bytes, turned, row * bytes, bytes);
    }
    return turned;
  }
}
