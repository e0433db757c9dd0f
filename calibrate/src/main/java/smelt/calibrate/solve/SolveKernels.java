package smelt.calibrate.solve;

import java.lang.foreign.MemorySegment;

/// The inner loop of factoring second moments and of GPTQ, on F32 numbers in native byte order. The
/// scalar kernels are the definition; all others give equal bytes.
///
/// Offsets are bytes and need no alignment. Implementations have no state; any thread may call them.
public interface SolveKernels {

  /// Numbers in a row of `panel` and of `out`.
  int BLOCK = HessianFactor.BLOCK;

  /// Name for the log, such as `scalar` or `vector-512`.
  String name();

  /// `out[r][c] = fma(rows[r][i], panel[i][c], out[r][c])` for `i` from 0 to `depth - 1`, in this
  /// order, for each `r < rowCount` and `c < width`.
  ///
  /// @param rowStride bytes from row to row of `rows`
  /// @param panel `depth` rows, each [#BLOCK] numbers behind the one before
  /// @param out as `panel`; overlaps neither
  /// @param width columns, a multiple of [#WIDTHS]
  void accumulate(
      MemorySegment rows,
      long rowsOffset,
      long rowStride,
      int rowCount,
      MemorySegment panel,
      long panelOffset,
      int depth,
      MemorySegment out,
      long outOffset,
      int width);

  /// What widths are multiples of.
  int WIDTHS = 32;
}
