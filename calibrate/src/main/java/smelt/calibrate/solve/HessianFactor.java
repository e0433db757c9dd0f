package smelt.calibrate.solve;

import static smelt.calibrate.math.Matrix.F32;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.util.stream.IntStream;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.Matrix;

/// How the error of each column is made up for by the columns behind it: what GPTQ needs of the
/// second moments `H` of a linear's input.
///
/// With columns in their order and `H = R RT`, `R` upper triangular, a column that has taken up the
/// errors `d = weight - value` of those before it is `weight[j] + sum over i < j of d[i] T[i][j]`,
/// `T[i][j] = R[i][j] / R[j][j]`. This is what updates with the Cholesky factor of the inverse of
/// `H` come to, that is `R` inverted, without an inverse.
///
/// Stored is `T`, in blocks of [#BLOCK] x [#BLOCK] F32, row after row, those on and above the
/// diagonal only, block column after block column, filled up with columns that nothing is added to.
/// It can be shared by threads if the memory can.
public final class HessianFactor {

  /// Columns of a block.
  public static final int BLOCK = 128;

  static final long BLOCK_BYTES = (long) Float.BYTES * BLOCK * BLOCK;

  private final MemorySegment blocks;
  private final int[] columns;
  private final float[] diagonal;
  private final ColumnOrder order;
  private final SolveKernels kernels;
  private final double damping;
  private final int dead;

  private HessianFactor(
      MemorySegment blocks,
      int[] columns,
      float[] diagonal,
      ColumnOrder order,
      SolveKernels kernels,
      double damping) {
    this.blocks = blocks;
    this.columns = columns;
    this.diagonal = diagonal;
    this.order = order;
    this.kernels = kernels;
    this.damping = damping;
    this.dead = (int) IntStream.range(0, diagonal.length).filter(i -> diagonal[i] == 0).count();
  }

  /// Factors the second moments of a linear's input. The result is the same to the bit for any
  /// number of threads and for any kernels.
  ///
  /// @param hessian `n x n`, symmetric: the mean of `x xT`, or any multiple of it; only the part
  ///   above the diagonal is read
  /// @param memory where the factor is kept, `bytes(n)`; shared by the threads of `compute`
  /// @throws IllegalArgumentException if `hessian` is not square, holds what is not finite or a
  ///   negative number on the diagonal, or is so far from being positive that no damping helps
  public static HessianFactor of(
      Compute compute,
      SolveKernels kernels,
      Matrix hessian,
      Damping damping,
      ColumnOrder order,
      SegmentAllocator memory) {
    float[] diagonal = diagonal(hessian);
    int[] columns = columns(diagonal, order);
    double mean = IntStream.range(0, diagonal.length).mapToDouble(i -> diagonal[i]).sum();
    mean /= diagonal.length;
    MemorySegment blocks = memory.allocate(bytes(diagonal.length), 64);
    try (Arena scratch = Arena.ofShared()) {
      Factoring factoring = new Factoring(compute, kernels, hessian, columns, blocks, scratch);
      for (double share = damping.share(); share <= damping.most(); share += damping.step()) {
        if (factoring.run(mean == 0 ? 1 : share * mean)) {
          return new HessianFactor(blocks, columns, diagonal, order, kernels, share);
        }
      }
    }
    throw new IllegalArgumentException(
        "second moments of "
            + diagonal.length
            + " channels are not positive definite, even with "
            + damping.most()
            + " of the mean of their diagonal added; expected the mean of x xT");
  }

  /// Bytes of memory for the factor of `n` columns.
  public static long bytes(long n) {
    long blocks = blocks(n);
    return Math.multiplyExact(blocks * (blocks + 1) / 2, BLOCK_BYTES);
  }

  /// Bytes of further memory while the factor is made.
  public static long scratchBytes(long n) {
    return Factoring.scratchBytes(blocks(n));
  }

  private static long blocks(long n) {
    return Math.ceilDiv(n, (long) BLOCK);
  }

  private static float[] diagonal(Matrix hessian) {
    if (hessian.rows() != hessian.cols() || hessian.rows() == 0) {
      throw new IllegalArgumentException(
          "second moments of " + hessian.rows() + " x " + hessian.cols());
    }
    float[] diagonal = new float[Math.toIntExact(hessian.rows())];
    for (int i = 0; i < diagonal.length; i++) {
      diagonal[i] = hessian.get(i, i);
      if (!(diagonal[i] >= 0 && diagonal[i] <= Float.MAX_VALUE)) {
        throw new IllegalArgumentException(
            "second moment of channel " + i + " is " + diagonal[i] + ", expected 0 or more");
      }
    }
    return diagonal;
  }

  private static int[] columns(float[] diagonal, ColumnOrder order) {
    IntStream given = IntStream.range(0, diagonal.length);
    return switch (order) {
      case GIVEN -> given.toArray();
      case DESCENDING ->
          given
              .boxed()
              .sorted((i, j) -> Float.compare(diagonal[j], diagonal[i])) // a stable sort
              .mapToInt(Integer::intValue)
              .toArray();
    };
  }

  /// Number of columns.
  public int size() {
    return diagonal.length;
  }

  public ColumnOrder order() {
    return order;
  }

  /// The share of the mean of the diagonal that was added to it in the end.
  public double damping() {
    return damping;
  }

  /// Channels that were always 0. Their columns are rounded to the nearest and neither give nor
  /// take.
  public int deadColumns() {
    return dead;
  }

  SolveKernels kernels() {
    return kernels;
  }

  MemorySegment blocks() {
    return blocks;
  }

  /// The columns in the order in which they are rounded; not to be changed.
  int[] columns() {
    return columns;
  }

  /// The diagonal without what was added to it, in the given order; not to be changed.
  float[] diagonal() {
    return diagonal;
  }

  /// Byte offset of a block, `row` at most `col`.
  static long blockAt(long row, long col) {
    return (col * (col + 1) / 2 + row) * BLOCK_BYTES;
  }

  /// What one column, as the `i`-th in order, gives to the `j`-th, `i < j`.
  float coupling(int i, int j) {
    long in = (long) (i % BLOCK) * BLOCK + j % BLOCK;
    return blocks.get(F32, blockAt(i / BLOCK, j / BLOCK) + Float.BYTES * in);
  }
}
