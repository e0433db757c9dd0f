package smelt.converter.run;

import static java.nio.ByteOrder.LITTLE_ENDIAN;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.HashMap;
import java.util.Map;
import smelt.converter.plan.Job;
import smelt.formats.checkpoint.Projection;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.Kernels;
import smelt.formats.codec.Tile;
import smelt.formats.experts.ExpertFormat;
import smelt.formats.experts.ExpertPacker;
import smelt.formats.experts.ExpertPacker.Region;
import smelt.formats.experts.RowScales;

/// Writes a whole matrix of an expert in the order of a CPU's kernels, slice by slice. Serves one
/// thread.
final class ExpertWriter {

  private static final ValueLayout.OfFloat F32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(LITTLE_ENDIAN);

  private record Kind(ExpertFormat format, ExpertPacker.Rule rule) {}

  private final Kernels kernels;
  private final MemorySegment codesOut;
  private final MemorySegment scalesOut;
  private final MemorySegment scratch;
  private final Map<Kind, ExpertPacker> packers = new HashMap<>();

  ExpertWriter(
      Kernels kernels, MemorySegment codesOut, MemorySegment scalesOut, MemorySegment scratch) {
    this.kernels = kernels;
    this.codesOut = codesOut;
    this.scalesOut = scalesOut;
    this.scratch = scratch;
  }

  /// Bytes of the buffers: codes of the matrix and behind them the largest packed slice.
  static MemoryPlan.Buffers buffers(Job job, Job.Output.Experts output, TileShape tile) {
    Encoding from = job.weight().encoding();
    long packed = 0;
    for (Job.Slice slice : output.slices()) {
      Region region = slice.region();
      long bytes = output.format().bytes(projection(job), region.rows(), region.cols());
      packed = Math.max(packed, bytes);
    }
    return new MemoryPlan.Buffers(
        0,
        0,
        Math.multiplyExact(tile.rows(), tile.cols()) + packed,
        tile.rows() * Float.BYTES,
        ExpertPacker.scratchBytes(from, tile.cols()));
  }

  private static Projection projection(Job job) {
    return switch (job.weight().role()) {
      case TensorRole.RoutedExpert expert -> expert.projection();
      case TensorRole other -> throw new IllegalStateException("packing " + other);
    };
  }

  void write(UnitRun.Tile tile, Job.Output.Experts output, Tile matrix) throws IOException {
    ExpertPacker packer =
        packers.computeIfAbsent(
            new Kind(output.format(), output.rule()),
            kind -> new ExpertPacker(kind.format(), kind.rule()));
    switch (output.rule()) {
      case EXACT -> {
        Region whole = new Region(0, matrix.rows(), 0, matrix.cols());
        packer.quantize(kernels, matrix, whole, codesOut, scalesOut, scratch);
        for (Job.Slice slice : output.slices()) {
          write(tile, output, packer, slice, whole);
        }
      }
      case UPSTREAM -> {
        for (Job.Slice slice : output.slices()) {
          packer.quantize(kernels, matrix, slice.region(), codesOut, scalesOut, scratch);
          write(tile, output, packer, slice, slice.region());
        }
      }
      case KEEP -> {
        for (Job.Slice slice : output.slices()) {
          keep(tile, output, packer, slice, matrix);
        }
      }
    }
  }

  /// Packs codes that a solver has chosen, which serve any number of nodes.
  void write(UnitRun.Tile tile, Job.Output.Experts output, Tile matrix, TunedRows.Solved solved)
      throws IOException {
    ExpertPacker packer =
        packers.computeIfAbsent(
            new Kind(output.format(), output.rule()),
            kind -> new ExpertPacker(kind.format(), kind.rule()));
    Region whole = new Region(0, matrix.rows(), 0, matrix.cols());
    MemorySegment.copy(solved.codes(), 0, codesOut, 0, solved.codes().byteSize());
    for (long row = 0; row < matrix.rows(); row++) {
      float scale = solved.scales().getAtIndex(F32, row);
      scalesOut.setAtIndex(F32, row, scale / output.format().codeStep());
    }
    for (Job.Slice slice : output.slices()) {
      write(tile, output, packer, slice, whole);
    }
  }

  /// Packs codes as they are, with their scales.
  private void keep(
      UnitRun.Tile tile,
      Job.Output.Experts output,
      ExpertPacker packer,
      Job.Slice slice,
      Tile matrix)
      throws IOException {
    Region region = slice.region();
    RowScales rows = RowScales.of(matrix.encoding(), matrix.cols()).orElseThrow();
    KeptScales.require(tile.job().weight(), rows, matrix.scales(), region);
    for (long row = 0; row < region.rows(); row++) {
      float scale = rows.shared(matrix.scales(), region, region.firstRow() + row);
      KeptScales.requireFinite(tile.job().weight(), region.firstRow() + row, scale);
      scalesOut.setAtIndex(F32, row, scale / output.format().codeStep());
    }
    long from = region.firstRow() * matrix.cols() + region.firstCol();
    Projection projection = projection(tile.job());
    packer.pack(projection, matrix.codes(), from, matrix.cols(), region, codesOut, 0);
    long bytes = output.format().bytes(projection, region.rows(), region.cols());
    ShardWriter shard = tile.unit().shard(output.target());
    shard.write(slice.weight(), 0, codesOut.asSlice(0, bytes));
    shard.write(slice.scale(), 0, scalesOut.asSlice(0, region.rows() * Float.BYTES));
  }

  /// @param quantized the region whose codes and scales the buffers hold
  private void write(
      UnitRun.Tile tile,
      Job.Output.Experts output,
      ExpertPacker packer,
      Job.Slice slice,
      Region quantized)
      throws IOException {
    Region region = slice.region();
    Projection projection = projection(tile.job());
    long row = region.firstRow() - quantized.firstRow();
    long stride = quantized.cols();
    long from = row * stride + region.firstCol() - quantized.firstCol();
    long packedAt = quantized.rows() * stride;
    packer.pack(projection, codesOut, from, stride, region, codesOut, packedAt);
    long bytes = output.format().bytes(projection, region.rows(), region.cols());
    ShardWriter shard = tile.unit().shard(output.target());
    shard.write(slice.weight(), 0, codesOut.asSlice(packedAt, bytes));
    shard.write(
        slice.scale(), 0, scalesOut.asSlice(row * Float.BYTES, region.rows() * Float.BYTES));
  }
}
