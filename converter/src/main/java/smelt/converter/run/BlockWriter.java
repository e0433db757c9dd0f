package smelt.converter.run;

import static java.nio.ByteOrder.LITTLE_ENDIAN;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.OptionalLong;
import smelt.converter.gguf.RowEncoder;
import smelt.converter.plan.Job;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.Kernels;
import smelt.formats.codec.NonFiniteException;
import smelt.formats.codec.Tile;
import smelt.formats.codec.TileDecoder;
import smelt.formats.codec.Transcoder;
import smelt.formats.gguf.GgmlType;

/// Writes the rows of a tile as blocks of GGUF types. Serves one thread.
final class BlockWriter {

  /// F32 values that are encoded together, unless one row has more.
  private static final long CHUNK = 1L << 16;

  private static final ValueLayout.OfFloat F32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(LITTLE_ENDIAN);

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
      values = Math.max(values, piece.transposed() ? 2 * chunk : chunk);
    }
    long scratch =
        Math.max(
            Transcoder.scratchBytes(from, from, tile.cols()),
            TileDecoder.scratchBytes(from, tile.cols()) + values);
    return new MemoryPlan.Buffers(0, 0, codes, 0, scratch);
  }

  private static long rowsAtOnce(Job.Piece piece, long cols) {
    return piece.transposed() ? piece.rows() : Math.clamp(CHUNK / cols, 1, piece.rows());
  }

  void write(UnitRun.Tile tile, Job.Output.Blocks output, Tile in) throws IOException {
    Transcoder.check(kernels, in, scratch);
    TileDecoder decoder = new TileDecoder(kernels, in, scratch, 0);
    long end = tile.row() + in.rows();
    for (Job.Piece piece : output.pieces()) {
      long first = Math.max(tile.row(), piece.firstRow());
      long last = Math.min(end, piece.firstRow() + piece.rows());
      if (first < last) {
        long bytes = encode(tile, piece, in, decoder, first, last);
        long at = piece.at() + piece.type().bytes((first - piece.firstRow()) * in.cols());
        tile.unit().shard(output.target()).write(piece.tensor(), at, codesOut.asSlice(0, bytes));
      }
    }
  }

  /// @param first row of the weight
  /// @param end one past the last
  private long encode(
      UnitRun.Tile tile, Job.Piece piece, Tile in, TileDecoder decoder, long first, long end) {
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
      refuseUnfit(type, values, row - tile.row(), rows * cols, cols);
      if (piece.transposed()) {
        MemorySegment turned = scratch.asSlice(valuesAt + bytes, bytes);
        turn(values, rows, cols, turned);
        values = turned;
      }
      long size = type.bytes(rows * cols);
      RowEncoder.encode(kernels, type, values, codesOut.asSlice(done, size), rows * cols);
      done += size;
    }
    return done;
  }

  private static void refuseUnfit(
      GgmlType type, MemorySegment values, long firstRow, long count, long cols) {
    OptionalLong unfit = RowEncoder.firstUnfit(type, values, count);
    if (unfit.isPresent()) {
      long index = unfit.getAsLong();
      throw new NonFiniteException(
          new NonFiniteException.Place.Weight(firstRow + index / cols, index % cols),
          values.get(F32, index * Float.BYTES));
    }
  }

  /// Makes columns of rows.
  private static void turn(MemorySegment values, long rows, long cols, MemorySegment turned) {
    for (long row = 0; row < rows; row++) {
      for (long col = 0; col < cols; col++) {
        float value = values.get(F32, (row * cols + col) * Float.BYTES);
        turned.set(F32, (col * rows + row) * Float.BYTES, value);
      }
    }
  }
}
