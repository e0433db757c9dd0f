package smelt.calibrate.model;

import java.lang.foreign.MemorySegment;
import smelt.calibrate.math.Matrix;
import smelt.formats.ElementType;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.Kernels;
import smelt.formats.codec.ScaleFormat;
import smelt.formats.codec.Tile;
import smelt.formats.codec.Transcoder;

/// Rounds the input of a linear to the values that a runtime's codes stand for.
final class ActivationRounding {

  private static final Encoding F32 = new Encoding.Plain(ElementType.F32);

  private final Kernels kernels;
  private final Scratch scratch;

  ActivationRounding(Kernels kernels, Scratch scratch) {
    this.kernels = kernels;
    this.scratch = scratch;
  }

  /// Scratch for rounding `rows` inputs of `cols` numbers.
  static long scratchBytes(long rows, long cols) {
    return Math.addExact(Scratch.bytesOf(rows, cols), workBytes(cols));
  }

  /// Codes, scales (at most one a number) and the transcoder's own memory, of one row.
  private static long workBytes(long cols) {
    return Scratch.aligned(cols) + 3 * Scratch.bytesOf(1, cols) + (1 << 16);
  }

  /// The rounded input: `x` itself where nothing is rounded, else a matrix in scratch memory.
  Matrix round(ActivationScheme scheme, Matrix x) {
    return switch (scheme) {
      case ActivationScheme.None _ -> x;
      case ActivationScheme.PerToken(ElementType type) ->
          throughCodes(new Encoding.Channel(type, ElementType.F32), x);
      case ActivationScheme.PerGroup(ElementType type, int group, ScaleFormat scales) ->
          throughCodes(new Encoding.Block(type, 1, group, ElementType.F32, scales), x);
      case ActivationScheme.PerTensor(float scale, int offset) -> toGrid(scale, offset, x);
    };
  }

  private Matrix throughCodes(Encoding encoding, Matrix x) {
    long cols = x.cols();
    Matrix out = scratch.matrix(x.rows(), cols);
    long mark = scratch.mark();
    MemorySegment codes = scratch.bytes(cols);
    MemorySegment scales = scratch.bytes(Matrix.bytes(1, cols));
    MemorySegment work =
        scratch.bytes(
            Math.max(
                Transcoder.scratchBytes(F32, encoding, cols),
                Transcoder.scratchBytes(encoding, F32, cols)));
    Tile rounded = new Tile(encoding, codes, 0, scales, 0, 1, cols);
    for (long row = 0; row < x.rows(); row++) {
      Tile from = Tile.plain(ElementType.F32, x.data(), x.at(row, 0), 1, cols);
      Tile to = Tile.plain(ElementType.F32, out.data(), out.at(row, 0), 1, cols);
      Transcoder.transcode(kernels, from, rounded, work);
      Transcoder.transcode(kernels, rounded, to, work);
    }
    scratch.release(mark);
    return out;
  }

  private Matrix toGrid(float scale, int offset, Matrix x) {
    Matrix out = scratch.matrix(x.rows(), x.cols());
    for (long row = 0; row < x.rows(); row++) {
      for (long col = 0; col < x.cols(); col++) {
        double code = Math.clamp(Math.rint(x.get(row, col) / scale) + offset, -128, 127);
        out.set(row, col, (float) (code - offset) * scale);
      }
    }
    return out;
  }
}
