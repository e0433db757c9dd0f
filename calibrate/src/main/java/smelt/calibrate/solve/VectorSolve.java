package smelt.calibrate.solve;

import static smelt.calibrate.math.Matrix.F32;

import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/// The kernels with the Vector API, for any vector width. Lanes are columns, so each sum is the
/// same chain of fused multiply-adds as in the scalar kernels. As everywhere, no method takes or
/// returns a vector; memory on the heap is left to the scalar kernels.
///
/// Six rows by two vectors are in registers at a time, for the reasons that the math kernels have.
final class VectorSolve implements SolveKernels {

  private static final ScalarSolve SCALAR = new ScalarSolve();

  private static final VectorSpecies<Float> F = FloatVector.SPECIES_PREFERRED;
  private static final long BYTES = F.vectorByteSize();
  private static final ByteOrder NATIVE = ByteOrder.nativeOrder();
  private static final int ROWS = 6;

  /// A cast to it tells the JIT what it would else take from a profile that all users share.
  private static final Class<? extends MemorySegment> OFF_HEAP = MemorySegment.NULL.getClass();

  @Override
  public String name() {
    return "vector-" + F.vectorBitSize();
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
    int c = 0;
    if (OFF_HEAP.isInstance(rows) && OFF_HEAP.isInstance(panel) && OFF_HEAP.isInstance(out)) {
      for (; c <= width - 2 * F.length(); c += 2 * F.length()) {
        long from = panelOffset + (long) Float.BYTES * c;
        long to = outOffset + (long) Float.BYTES * c;
        twoVectors(
            rows,
            rowsOffset,
            rowStride,
            rowCount,
            panel,
            from,
            panelStride,
            depth,
            out,
            to,
            outStride);
      }
    }
    if (c < width) {
      long rest = (long) Float.BYTES * c;
      SCALAR.accumulate(
          rows,
          rowsOffset,
          rowStride,
          rowCount,
          panel,
          panelOffset + rest,
          panelStride,
          depth,
          out,
          outOffset + rest,
          outStride,
          width - c);
    }
  }

  private static void twoVectors(
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
      long outStride) {
    int r = 0;
    long from = rowsOffset;
    long to = outOffset;
    for (; r <= rowCount - ROWS; r += ROWS) {
      six(rows, from, rowStride, panel, panelOffset, panelStride, depth, out, to, outStride);
      from += ROWS * rowStride;
      to += ROWS * outStride;
    }
    for (; r < rowCount; r++) {
      one(rows, from, panel, panelOffset, panelStride, depth, out, to);
      from += rowStride;
      to += outStride;
    }
  }

  private static void six(
      MemorySegment rowsMemory,
      long row0,
      long rowStride,
      MemorySegment panelMemory,
      long panelOffset,
      long panelStride,
      int depth,
      MemorySegment outMemory,
      long out0,
      long outStride) {
    MemorySegment rows = OFF_HEAP.cast(rowsMemory);
    MemorySegment panel = OFF_HEAP.cast(panelMemory);
    MemorySegment out = OFF_HEAP.cast(outMemory);
    long row1 = row0 + rowStride;
    long row2 = row1 + rowStride;
    long row3 = row2 + rowStride;
    long row4 = row3 + rowStride;
    long row5 = row4 + rowStride;
    long out1 = out0 + outStride;
    long out2 = out1 + outStride;
    long out3 = out2 + outStride;
    long out4 = out3 + outStride;
    long out5 = out4 + outStride;
    FloatVector s0a = FloatVector.fromMemorySegment(F, out, out0, NATIVE);
    FloatVector s0b = FloatVector.fromMemorySegment(F, out, out0 + BYTES, NATIVE);
    FloatVector s1a = FloatVector.fromMemorySegment(F, out, out1, NATIVE);
    FloatVector s1b = FloatVector.fromMemorySegment(F, out, out1 + BYTES, NATIVE);
    FloatVector s2a = FloatVector.fromMemorySegment(F, out, out2, NATIVE);
    FloatVector s2b = FloatVector.fromMemorySegment(F, out, out2 + BYTES, NATIVE);
    FloatVector s3a = FloatVector.fromMemorySegment(F, out, out3, NATIVE);
    FloatVector s3b = FloatVector.fromMemorySegment(F, out, out3 + BYTES, NATIVE);
    FloatVector s4a = FloatVector.fromMemorySegment(F, out, out4, NATIVE);
    FloatVector s4b = FloatVector.fromMemorySegment(F, out, out4 + BYTES, NATIVE);
    FloatVector s5a = FloatVector.fromMemorySegment(F, out, out5, NATIVE);
    FloatVector s5b = FloatVector.fromMemorySegment(F, out, out5 + BYTES, NATIVE);
    for (int i = 0; i < depth; i++) {
      long at = panelOffset + panelStride * i;
      FloatVector a = FloatVector.fromMemorySegment(F, panel, at, NATIVE);
      FloatVector b = FloatVector.fromMemorySegment(F, panel, at + BYTES, NATIVE);
      FloatVector x = FloatVector.broadcast(F, rows.get(F32, row0 + 4L * i));
      s0a = x.fma(a, s0a);
      s0b = x.fma(b, s0b);
      x = FloatVector.broadcast(F, rows.get(F32, row1 + 4L * i));
      s1a = x.fma(a, s1a);
      s1b = x.fma(b, s1b);
      x = FloatVector.broadcast(F, rows.get(F32, row2 + 4L * i));
      s2a = x.fma(a, s2a);
      s2b = x.fma(b, s2b);
      x = FloatVector.broadcast(F, rows.get(F32, row3 + 4L * i));
      s3a = x.fma(a, s3a);
      s3b = x.fma(b, s3b);
      x = FloatVector.broadcast(F, rows.get(F32, row4 + 4L * i));
      s4a = x.fma(a, s4a);
      s4b = x.fma(b, s4b);
      x = FloatVector.broadcast(F, rows.get(F32, row5 + 4L * i));
      s5a = x.fma(a, s5a);
      s5b = x.fma(b, s5b);
    }
    s0a.intoMemorySegment(out, out0, NATIVE);
    s0b.intoMemorySegment(out, out0 + BYTES, NATIVE);
    s1a.intoMemorySegment(out, out1, NATIVE);
    s1b.intoMemorySegment(out, out1 + BYTES, NATIVE);
    s2a.intoMemorySegment(out, out2, NATIVE);
    s2b.intoMemorySegment(out, out2 + BYTES, NATIVE);
    s3a.intoMemorySegment(out, out3, NATIVE);
    s3b.intoMemorySegment(out, out3 + BYTES, NATIVE);
    s4a.intoMemorySegment(out, out4, NATIVE);
    s4b.intoMemorySegment(out, out4 + BYTES, NATIVE);
    s5a.intoMemorySegment(out, out5, NATIVE);
    s5b.intoMemorySegment(out, out5 + BYTES, NATIVE);
  }

  private static void one(
      MemorySegment rowsMemory,
      long row,
      MemorySegment panelMemory,
      long panelOffset,
      long panelStride,
      int depth,
      MemorySegment outMemory,
      long to) {
    MemorySegment rows = OFF_HEAP.cast(rowsMemory);
    MemorySegment panel = OFF_HEAP.cast(panelMemory);
    MemorySegment out = OFF_HEAP.cast(outMemory);
    FloatVector a = FloatVector.fromMemorySegment(F, out, to, NATIVE);
    FloatVector b = FloatVector.fromMemorySegment(F, out, to + BYTES, NATIVE);
    for (int i = 0; i < depth; i++) {
      long at = panelOffset + panelStride * i;
      FloatVector x = FloatVector.broadcast(F, rows.get(F32, row + 4L * i));
      a = x.fma(FloatVector.fromMemorySegment(F, panel, at, NATIVE), a);
      b = x.fma(FloatVector.fromMemorySegment(F, panel, at + BYTES, NATIVE), b);
    }
    a.intoMemorySegment(out, to, NATIVE);
    b.intoMemorySegment(out, to + BYTES, NATIVE);
  }
}
