package smelt.calibrate.math;

import java.lang.foreign.MemorySegment;

/// The arrays of one worker for `multiplyGroups`: rows of a task, side by side in groups, and the
/// panel that meets them.
final class RowGroups {

  private final float[] rows;

  /// One group, row after row.
  private final float[][] lines;

  private final float[] panel;

  RowGroups(Blocking blocking, int panelWidth) {
    rows = new float[blocking.taskRows() * blocking.depth()];
    lines = new float[MathKernels.GROUP_ROWS][blocking.depth()];
    panel = new float[blocking.depth() * panelWidth];
  }

  /// Bytes of one.
  static long bytes(Blocking blocking, int panelWidth) {
    long lines = (long) blocking.taskRows() + MathKernels.GROUP_ROWS + panelWidth;
    return Float.BYTES * lines * blocking.depth();
  }

  /// Takes a group of up to `GROUP_ROWS` rows. What is beside fewer is multiplied too, and nobody
  /// reads the sums.
  ///
  /// @param stride bytes from row to row
  void put(int group, MemorySegment data, long offset, long stride, int count, int depth) {
    for (int r = 0; r < count; r++) {
      MemorySegment.copy(data, Matrix.F32, offset + stride * r, lines[r], 0, depth);
    }
    sideBySide(group * MathKernels.GROUP_ROWS * depth, depth);
  }

  private void sideBySide(int first, int depth) {
    float[] a = lines[0];
    float[] b = lines[1];
    float[] c = lines[2];
    float[] d = lines[3];
    for (int i = 0; i < depth; i++) {
      int at = first + MathKernels.GROUP_ROWS * i;
      rows[at] = a[i];
      rows[at + 1] = b[i];
      rows[at + 2] = c[i];
      rows[at + 3] = d[i];
    }
  }

  /// Adds the products of the first groups and a panel to `out`.
  void multiply(
      MathKernels math,
      int groups,
      MemorySegment packed,
      long from,
      int depth,
      MemorySegment out,
      long to) {
    int width = math.panelWidth();
    MemorySegment.copy(packed, Matrix.F32, from, panel, 0, depth * width);
    math.multiplyGroups(rows, groups, panel, width, depth, out, to);
  }
}
