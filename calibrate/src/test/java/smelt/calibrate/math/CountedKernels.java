package smelt.calibrate.math;

import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicLong;

/// Scalar kernels that count the operations of products, each multiplication and each addition one.
/// Panels are one token wide, so none is filled up with zeros that would be counted.
public final class CountedKernels implements MathKernels {

  private final MathKernels scalar = new ScalarMath();
  private final AtomicLong flops = new AtomicLong();

  /// Operations so far.
  public long flops() {
    return flops.get();
  }

  @Override
  public String name() {
    return "counted";
  }

  @Override
  public boolean chainsProducts() {
    return scalar.chainsProducts();
  }

  @Override
  public int panelWidth() {
    return 1;
  }

  @Override
  public int narrowWidth() {
    return 1;
  }

  @Override
  public void multiplyPanel(
      MemorySegment rows,
      long rowsOffset,
      long rowStride,
      int rowCount,
      MemorySegment panel,
      long panelOffset,
      int width,
      int count,
      MemorySegment out,
      long outOffset) {
    flops.addAndGet(2L * rowCount * width * count);
    scalar.multiplyPanel(
        rows, rowsOffset, rowStride, rowCount, panel, panelOffset, width, count, out, outOffset);
  }

  @Override
  public boolean prefersGroups() {
    return false;
  }

  @Override
  public void multiplyGroups(
      float[] rows,
      int groups,
      float[] panel,
      int width,
      int count,
      MemorySegment out,
      long outOffset) {
    flops.addAndGet(2L * groups * GROUP_ROWS * width * count);
    scalar.multiplyGroups(rows, groups, panel, width, count, out, outOffset);
  }

  @Override
  public void multiplyRow(
      MemorySegment rows,
      long rowsOffset,
      long rowStride,
      int rowCount,
      MemorySegment x,
      long xOffset,
      int count,
      MemorySegment out,
      long outOffset,
      boolean add) {
    flops.addAndGet(2L * rowCount * count);
    scalar.multiplyRow(
        rows, rowsOffset, rowStride, rowCount, x, xOffset, count, out, outOffset, add);
  }

  @Override
  public void transpose(
      MemorySegment in,
      long inOffset,
      long inStride,
      int rows,
      int cols,
      MemorySegment out,
      long outOffset,
      long outStride) {
    scalar.transpose(in, inOffset, inStride, rows, cols, out, outOffset, outStride);
  }

  @Override
  public void softmaxStep(
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
      int valueRows) {
    scalar.softmaxStep(
        scores,
        scoresOffset,
        keys,
        width,
        scale,
        seen,
        state,
        stateOffset,
        values,
        valuesOffset,
        valueRows);
  }

  @Override
  public void divideColumns(
      MemorySegment values,
      long valuesOffset,
      int rowCount,
      int width,
      MemorySegment divisors,
      long divisorsOffset) {
    scalar.divideColumns(values, valuesOffset, rowCount, width, divisors, divisorsOffset);
  }

  @Override
  public void addScaled(
      float factor,
      MemorySegment x,
      long xOffset,
      MemorySegment into,
      long intoOffset,
      long count) {
    scalar.addScaled(factor, x, xOffset, into, intoOffset, count);
  }

  @Override
  public void rmsNorm(
      MemorySegment x,
      long xOffset,
      MemorySegment weight,
      long weightOffset,
      double eps,
      MemorySegment out,
      long outOffset,
      long count) {
    scalar.rmsNorm(x, xOffset, weight, weightOffset, eps, out, outOffset, count);
  }

  @Override
  public void softmax(MemorySegment x, long xOffset, long count) {
    scalar.softmax(x, xOffset, count);
  }

  @Override
  public void siluMultiply(
      MemorySegment gate,
      long gateOffset,
      MemorySegment up,
      long upOffset,
      MemorySegment out,
      long outOffset,
      long count) {
    scalar.siluMultiply(gate, gateOffset, up, upOffset, out, outOffset, count);
  }

  @Override
  public void rope(
      MemorySegment x,
      long xOffset,
      MemorySegment cos,
      long cosOffset,
      MemorySegment sin,
      long sinOffset,
      long pairs,
      RopeLayout layout) {
    scalar.rope(x, xOffset, cos, cosOffset, sin, sinOffset, pairs, layout);
  }
}
