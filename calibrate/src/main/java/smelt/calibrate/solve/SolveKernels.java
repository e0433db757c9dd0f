package smelt.calibrate.solve;

import java.lang.foreign.MemorySegment;

/// The inner loop of factoring second moments and of GPTQ, on F32 numbers in native byte order. The
/// scalar kernels are the definition; all others give equal bytes.
///
/// Offsets are bytes and need no alignment. Implementations have no state; any thread may call
/// them.
public interface SolveKernels {

  /// Name for the log, such as `scalar` or `vector-512`.
  String name();

  /// `out[r][c] = fma(rows[r][i], panel[i][c], out[r][c])` for `i` from 0 to `depth - 1`, in this
  /// order, for each `r < rowCount` and `c < width`.
  ///
  /// @param rowStride bytes from row to row of `rows`
  /// @param panelStride bytes from row to row of `panel`
  /// @param out overlaps neither
  /// @param outStride bytes from row to row of `out`
  void accumulate(
      MemorySegment rows,
      long rowsOffset,
      long rowStride,
      int rowCount,
      MemorySegment panel,
      long panelOffset,
      long panelStride,
      int depth,
      MemorySegment out,
      long outOffset,
      long outStride,
      int width);
}
