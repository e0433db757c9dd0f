package smelt.calibrate.math;

import java.lang.foreign.MemorySegment;

/// The inner loops of the reference model, on F32 numbers in native byte order. `ScalarMath` is the
/// definition; every other set stays within the bound that its test derives.
///
/// Offsets are bytes and need no alignment, counts are numbers. Nothing outside the stated ranges
/// is touched. Implementations have no state; any thread may call them.
public interface MathKernels {

  /// Bytes from row to row with which `multiplyPanel` is fastest: 384 columns, and one line of the
  /// cache more, so that rows do not meet in the same places of it.
  long ROW_STRIDE = 1600;

  /// Rows of a group of `multiplyGroups`.
  int GROUP_ROWS = 4;

  /// Name for the log, such as `scalar` or `vector-512`.
  String name();

  /// Whether a number of a product by panels is one chain of fused multiply-adds of F32 numbers, in
  /// the order of the columns, as `DeviceProducts` give it.
  boolean chainsProducts();

  /// Numbers side by side in a panel: `panelWidth()`, or `narrowWidth()` where few are left.
  int panelWidth();

  /// As `panelWidth`; the smallest panel.
  int narrowWidth();

  /// Copies a transposed matrix: `out[c][r] = in[r][c]`.
  ///
  /// @param inStride bytes from row to row of `in`
  /// @param outStride bytes from row to row of `out`
  void transpose(
      MemorySegment in,
      long inOffset,
      long inStride,
      int rows,
      int cols,
      MemorySegment out,
      long outOffset,
      long outStride);

  /// `out[r][t] += sum of rows[r][i] * panel[i][t]` for `i < count`. What is added to one number of
  /// `out` does not depend on `width` or `rowCount`.
  ///
  /// @param rowStride bytes from row to row of `rows`, best `ROW_STRIDE`
  /// @param panel count x width, row after row
  /// @param width `panelWidth()` or `narrowWidth()`
  /// @param out rowCount x width, row after row
  void multiplyPanel(
      MemorySegment rows,
      long rowsOffset,
      long rowStride,
      int rowCount,
      MemorySegment panel,
      long panelOffset,
      int width,
      int count,
      MemorySegment out,
      long outOffset);

  /// Whether `multiplyGroups` is faster than `multiplyPanel` where rows meet many panels.
  boolean prefersGroups();

  /// As `multiplyPanel`, with rows and panel in arrays and the numbers of `GROUP_ROWS` rows side by
  /// side.
  ///
  /// @param rows groups x count x `GROUP_ROWS`
  /// @param panel count x width
  /// @param width `panelWidth()`
  /// @param out groups x `GROUP_ROWS` x width
  void multiplyGroups(
      float[] rows,
      int groups,
      float[] panel,
      int width,
      int count,
      MemorySegment out,
      long outOffset);

  /// `out[r] = sum of rows[r][i] * x[i]` for `i < count`; the sums are added to `out` where `add`
  /// is set. For few `x`, which a panel would waste.
  ///
  /// @param rowStride bytes from row to row of `rows`
  void multiplyRow(
      MemorySegment rows,
      long rowsOffset,
      long rowStride,
      int rowCount,
      MemorySegment x,
      long xOffset,
      int count,
      MemorySegment out,
      long outOffset,
      boolean add);

  /// One step of an online softmax over the keys, for each query of a panel.
  ///
  /// With `m` the largest `scale * score` of the keys so far, these included: scores become
  /// `exp(scale * score - m)`, sums and values so far are multiplied by `exp(m before - m)`, and
  /// the new scores are added to the sums. Query `t` sees keys `0 .. seen + t`; the score of any
  /// other becomes 0.
  ///
  /// @param scores keys x width, row after row; changed
  /// @param seen last key that query 0 sees; negative when it sees none
  /// @param state `width` largest scores, then `width` sums; -infinity and 0 at first. The first
  ///   step has a key that each query sees.
  /// @param values valueRows x width; changed
  void softmaxStep(
      MemorySegment scores,
      long scoresOffset,
      int keys,
      int width,
      float scale,
      int seen,
      MemorySegment state,
      long stateOffset,
      MemorySegment values,
      long valuesOffset,
      int valueRows);

  /// `values[d][t] = values[d][t] / divisors[t]`, in place.
  ///
  /// @param values rowCount x width, row after row
  void divideColumns(
      MemorySegment values,
      long valuesOffset,
      int rowCount,
      int width,
      MemorySegment divisors,
      long divisorsOffset);

  /// `into += factor * x`, each number rounded once; `x` and `into` must not overlap.
  void addScaled(
      float factor, MemorySegment x, long xOffset, MemorySegment into, long intoOffset, long count);

  /// `out = x / sqrt(mean(x * x) + eps) * weight`; `out` may be `x`.
  void rmsNorm(
      MemorySegment x,
      long xOffset,
      MemorySegment weight,
      long weightOffset,
      double eps,
      MemorySegment out,
      long outOffset,
      long count);

  /// `x = exp(x - max(x)) / sum(exp(x - max(x)))`, in place.
  void softmax(MemorySegment x, long xOffset, long count);

  /// `out = gate / (1 + exp(-gate)) * up`; `out` may be `gate`.
  void siluMultiply(
      MemorySegment gate,
      long gateOffset,
      MemorySegment up,
      long upOffset,
      MemorySegment out,
      long outOffset,
      long count);

  /// Rotates `pairs` pairs by their angles, in place: `(a, b)` becomes `(a cos - b sin, b cos + a
  /// sin)`.
  void rope(
      MemorySegment x,
      long xOffset,
      MemorySegment cos,
      long cosOffset,
      MemorySegment sin,
      long sinOffset,
      long pairs,
      RopeLayout layout);
}
