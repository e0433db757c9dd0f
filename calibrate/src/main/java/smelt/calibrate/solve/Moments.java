package smelt.calibrate.solve;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import smelt.calibrate.math.Matrix;

/// Second moments of a linear's input, by which errors of weights become errors of the output: the
/// mean of `(d x)^2` for a row of errors `d` is `d H dT`.
public sealed interface Moments {

  /// Number of channels.
  long size();

  /// All of them.
  ///
  /// @param matrix `n x n`, symmetric: the mean of `x xT`
  record Full(Matrix matrix) implements Moments {
    public Full {
      if (matrix.rows() != matrix.cols()) {
        throw new IllegalArgumentException(
            "second moments of " + matrix.rows() + " x " + matrix.cols());
      }
    }

    @Override
    public long size() {
      return matrix.rows();
    }
  }

  /// All of them in half the memory, to measure errors with: in blocks of [HessianFactor#BLOCK] x
  /// [HessianFactor#BLOCK] F32, row after row, those on and above the diagonal only, block column
  /// after block column, filled up with zeros.
  final class Blocks implements Moments {

    private final MemorySegment blocks;
    private final long size;

    private Blocks(MemorySegment blocks, long size) {
      this.blocks = blocks;
      this.size = size;
    }

    /// Takes the part of a matrix on and above its diagonal.
    ///
    /// @param matrix `n x n`, symmetric: the mean of `x xT`
    /// @param memory `bytes(n)` of it, which the result keeps
    public static Blocks of(Matrix matrix, SegmentAllocator memory) {
      long n = new Full(matrix).size();
      MemorySegment blocks = memory.allocate(bytes(n), 64);
      for (long row = 0; row < n; row++) {
        for (long col = row / HessianFactor.BLOCK * HessianFactor.BLOCK; col < n; ) {
          long in = row % HessianFactor.BLOCK * HessianFactor.BLOCK;
          long at =
              HessianFactor.blockAt(row / HessianFactor.BLOCK, col / HessianFactor.BLOCK)
                  + Float.BYTES * in;
          long count = Math.min(HessianFactor.BLOCK, n - col);
          MemorySegment.copy(matrix.data(), matrix.at(row, col), blocks, at, Float.BYTES * count);
          col += count;
        }
      }
      return new Blocks(blocks, n);
    }

    /// Bytes of memory for the second moments of `n` channels.
    public static long bytes(long n) {
      return HessianFactor.bytes(n);
    }

    MemorySegment blocks() {
      return blocks;
    }

    @Override
    public long size() {
      return size;
    }
  }

  /// Those of each channel with itself, as if channels had nothing to do with each other.
  final class Diagonal implements Moments {

    private final float[] meanSquares;

    /// @param meanSquares of each channel; copied
    public Diagonal(float[] meanSquares) {
      this.meanSquares = meanSquares.clone();
    }

    float[] meanSquares() {
      return meanSquares;
    }

    @Override
    public long size() {
      return meanSquares.length;
    }
  }
}
