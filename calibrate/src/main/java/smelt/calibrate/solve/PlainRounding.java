package smelt.calibrate.solve;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static smelt.calibrate.math.Matrix.F32;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.solve.RowGrid.ScaleType;
import smelt.formats.ElementType;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.Kernels;
import smelt.formats.codec.ScaleFormat;
import smelt.formats.codec.Tile;
import smelt.formats.codec.Transcoder;
import smelt.formats.experts.ScaleSearch;

/// Rows as the codecs round them, by the codecs' own code:
///
/// | codes up to | scales | how |
/// |---|---|---|
/// | 127 | F32 | `absmax / 127`, as INT8 of [Transcoder] |
/// | 127 | BF16 | the same, the scale rounded to BF16; no codec has it |
/// | 7 | F32 | the least squared error, as [ScaleSearch] |
/// | 7 | BF16 | the least squared error, as INT4 of [Transcoder] |
final class PlainRounding {

  private static final Encoding NUMBERS = new Encoding.Plain(ElementType.F32);

  private final Kernels codec;
  private final RowGrid grid;
  private final int cols;
  private final int groups;
  private final MemorySegment row;
  private final MemorySegment maxima;
  private final MemorySegment scratch;
  private final float[] numbers;
  private final byte[] codes;
  private final ScaleSearch search;

  PlainRounding(Kernels codec, RowGrid grid, int cols, SegmentAllocator memory) {
    this.codec = codec;
    this.grid = grid;
    this.cols = cols;
    this.groups = grid.groups(cols);
    this.row = memory.allocate(Matrix.bytes(1, cols), 64);
    this.maxima = memory.allocate(Matrix.bytes(1, groups), 64);
    this.scratch = memory.allocate(Transcoder.scratchBytes(NUMBERS, int8(grid), cols), 64);
    this.numbers = new float[cols];
    this.codes = new byte[cols];
    this.search = new ScaleSearch(grid.largest());
  }

  static long bytes(RowGrid grid, int cols) {
    return 192
        + Matrix.bytes(1, cols)
        + Matrix.bytes(1, grid.groups(cols))
        + Transcoder.scratchBytes(NUMBERS, int8(grid), cols);
  }

  private static Encoding int8(RowGrid grid) {
    return new Encoding.Block(ElementType.I8, 1, grid.group(), ElementType.F32, ScaleFormat.FLOAT);
  }

  /// @param rowOffset byte offset of `cols` finite numbers
  void round(
      MemorySegment from,
      long rowOffset,
      MemorySegment codesOut,
      long codesOffset,
      MemorySegment scalesOut,
      long scalesOffset) {
    MemorySegment.copy(from, rowOffset, row, 0, Matrix.bytes(1, cols));
    if (grid.largest() == 7 && grid.scaleType() == ScaleType.F32) {
      searched(codesOut, codesOffset, scalesOut, scalesOffset);
    } else if (grid.scaleType() == ScaleType.F32) {
      Tile numbersTile = Tile.plain(ElementType.F32, row, 0, 1, cols);
      Tile coded = new Tile(int8(grid), codesOut, codesOffset, scalesOut, scalesOffset, 1, cols);
      Transcoder.transcode(codec, numbersTile, coded, scratch);
    } else {
      storedAsBf16(codesOut, codesOffset, scalesOut, scalesOffset);
    }
  }

  private void searched(
      MemorySegment codesOut, long codesOffset, MemorySegment scalesOut, long scalesOffset) {
    MemorySegment.copy(row, F32, 0, numbers, 0, cols);
    for (int g = 0; g < groups; g++) {
      float scale = search.quantize(numbers, g * grid.group(), grid.group(), codes);
      scalesOut.set(F32, scalesOffset + (long) Float.BYTES * g, scale);
    }
    MemorySegment.copy(codes, 0, codesOut, JAVA_BYTE, codesOffset, cols);
  }

  private void storedAsBf16(
      MemorySegment codesOut, long codesOffset, MemorySegment scalesOut, long scalesOffset) {
    maxima.fill((byte) 0);
    codec.absmax(row, 0, grid.group(), maxima, 0, cols);
    if (grid.largest() == 7) {
      codec.searchInt4(row, 0, grid.group(), maxima, 0, cols);
    } else {
      for (long g = 0; g < groups; g++) {
        maxima.set(F32, Float.BYTES * g, int8Scale(maxima.get(F32, Float.BYTES * g)));
      }
    }
    for (int i = 0; i < cols; i++) {
      float scale = maxima.get(F32, (long) Float.BYTES * (i / grid.group()));
      byte code = grid.code(row.get(F32, (long) Float.BYTES * i), scale);
      codesOut.set(JAVA_BYTE, codesOffset + i, code);
    }
    MemorySegment.copy(maxima, 0, scalesOut, scalesOffset, Matrix.bytes(1, groups));
  }

  private float int8Scale(float absmax) {
    float scale = grid.scaleType().nearest(absmax / grid.largest());
    return absmax == 0 ? 1 : Math.max(Float.MIN_NORMAL, scale);
  }
}
