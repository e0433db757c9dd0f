package smelt.calibrate.math;

/// What of a product is in the caches at a time.
///
/// @param taskRows rows of a task, unless that leaves threads without work
/// @param group rows that are decoded at once; a multiple of what kernels multiply at once
/// @param depth columns of a panel; a multiple of 128, the usual block of scales, and whose numbers
///   take at most `ROW_STRIDE` bytes. Fewer leave more of the time to the beginning and end of each
///   sum
/// @param grouped whether kernels get rows and panel in arrays; groups are `GROUP_ROWS` then
record Blocking(int taskRows, int group, int depth, boolean grouped) {

  Blocking {
    if (taskRows % group != 0 || grouped && group != MathKernels.GROUP_ROWS) {
      throw new IllegalArgumentException(taskRows + " rows in groups of " + group);
    }
  }

  /// Many panels take turns in the first-level cache, where each meets all rows of the task; the
  /// rows, their sums and the panels are in the second.
  static final Blocking MANY_PANELS = new Blocking(240, 240, 256, false);

  /// As `MANY_PANELS`; the rows go through the first-level cache to the array.
  static final Blocking GROUPS = new Blocking(240, MathKernels.GROUP_ROWS, 256, true);

  /// A few panels stay in the second-level cache, and the rows take turns in the first.
  static final Blocking FEW_PANELS = new Blocking(120, 6, 384, false);

  /// Panels from which on `MANY_PANELS` is faster than `FEW_PANELS`, and `GROUPS`.
  private static final long MANY = 8;

  private static final long MANY_FOR_GROUPS = 3;

  /// The fastest for some kernels and a number of panels.
  static Blocking of(MathKernels math, long panels) {
    if (math.prefersGroups()) {
      return panels < MANY_FOR_GROUPS ? FEW_PANELS : GROUPS;
    }
    return panels < MANY ? FEW_PANELS : MANY_PANELS;
  }

  /// Whether stored rows are copied to where kernels are fastest; arrays are filled anyway.
  boolean copiesRows() {
    return !grouped && group == taskRows;
  }

  /// Bytes of the decoded rows.
  long decodedBytes() {
    return MathKernels.ROW_STRIDE * group;
  }
}
