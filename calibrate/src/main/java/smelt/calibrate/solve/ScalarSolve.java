package smelt.calibrate.solve;

import static smelt.calibrate.math.Matrix.F32;

import java.lang.foreign.MemorySegment;

/// The kernels as they are defined.
final class ScalarSolve implements SolveKernels {

  @Override
  public String name() {
    return "scalar";
  }

  @Override
  public void accumulate(
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
      int width) {
    for (int r = 0; r < rowCount; r++) {
      long row = rowsOffset + rowStride * r;
      long to = outOffset + outStride * r;
      for (int i = 0; i < depth; i++) {
        float factor = rows.get(F32, row + (long) Float.BYTES * i);
        long from = panelOffset + panelStride * i;
        for (int c = 0; c < width; c++) {
          long at = (long) Float.BYTES * c;
          float sum = Math.fma(factor, panel.get(F32, from + at), out.get(F32, to + at));
          out.set(F32, to + at, sum);
        }
      }
    }
  }
}
