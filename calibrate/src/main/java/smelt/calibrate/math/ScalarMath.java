package smelt.calibrate.math;

import static smelt.calibrate.math.Matrix.F32;

import java.lang.foreign.MemorySegment;

/// The kernels as they are defined: one number after the other, computed in F64 and rounded once to
/// F32 at the end. Products of two F32 are exact in F64, so a sum of `n` of them is off by at most
/// `n * 2^-53` of the sum of their magnitudes before it is rounded.
final class ScalarMath implements MathKernels {

  @Override
  public String name() {
    return "scalar";
  }

  private static float at(MemorySegment memory, long offset, long index) {
    return memory.get(F32, offset + Float.BYTES * index);
  }

  private static void put(MemorySegment memory, long offset, long index, double value) {
    memory.set(F32, offset + Float.BYTES * index, (float) value);
  }

  /// Sums are F64.
  @Override
  public boolean chainsProducts() {
    return false;
  }

  @Override
  public int panelWidth() {
    return 16;
  }

  @Override
  public int narrowWidth() {
    return 4;
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
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < cols; c++) {
        put(out, outOffset + outStride * c, r, at(in, inOffset + inStride * r, c));
      }
    }
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
    for (int r = 0; r < rowCount; r++) {
      for (int t = 0; t < width; t++) {
        long to = (long) r * width + t;
        double sum = at(out, outOffset, to);
        for (int i = 0; i < count; i++) {
          double value = at(rows, rowsOffset + rowStride * r, i);
          sum += value * at(panel, panelOffset, (long) i * width + t);
        }
        put(out, outOffset, to, sum);
      }
    }
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
    for (int r = 0; r < groups * GROUP_ROWS; r++) {
      int first = r / GROUP_ROWS * count * GROUP_ROWS + r % GROUP_ROWS;
      for (int t = 0; t < width; t++) {
        long to = (long) r * width + t;
        double sum = at(out, outOffset, to);
        for (int i = 0; i < count; i++) {
          sum += (double) rows[first + i * GROUP_ROWS] * panel[i * width + t];
        }
        put(out, outOffset, to, sum);
      }
    }
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
    for (int r = 0; r < rowCount; r++) {
      double sum = add ? at(out, outOffset, r) : 0;
      for (int i = 0; i < count; i++) {
        sum += (double) at(rows, rowsOffset + rowStride * r, i) * at(x, xOffset, i);
      }
      put(out, outOffset, r, sum);
    }
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
    for (int t = 0; t < width; t++) {
      int visible = Math.clamp((long) seen + t + 1, 0, keys);
      float before = at(state, stateOffset, t);
      float max = before;
      for (int j = 0; j < visible; j++) {
        max = Math.max(max, scale * at(scores, scoresOffset, (long) j * width + t));
      }
      double factor = Math.exp((double) before - max);
      double sum = factor * at(state, stateOffset, (long) width + t);
      for (int j = 0; j < keys; j++) {
        long to = (long) j * width + t;
        double weight =
            j < visible ? Math.exp((double) scale * at(scores, scoresOffset, to) - max) : 0;
        put(scores, scoresOffset, to, weight);
        sum += weight;
      }
      put(state, stateOffset, t, max);
      put(state, stateOffset, (long) width + t, sum);
      for (int d = 0; d < valueRows; d++) {
        long to = (long) d * width + t;
        put(values, valuesOffset, to, factor * at(values, valuesOffset, to));
      }
    }
  }

  @Override
  public void divideColumns(
      MemorySegment values,
      long valuesOffset,
      int rowCount,
      int width,
      MemorySegment divisors,
      long divisorsOffset) {
    for (int d = 0; d < rowCount; d++) {
      for (int t = 0; t < width; t++) {
        long to = (long) d * width + t;
        put(
            values,
            valuesOffset,
            to,
            at(values, valuesOffset, to) / at(divisors, divisorsOffset, t));
      }
    }
  }

  @Override
  public void addScaled(
      float factor,
      MemorySegment x,
      long xOffset,
      MemorySegment into,
      long intoOffset,
      long count) {
    for (long i = 0; i < count; i++) {
      float sum = Math.fma(factor, at(x, xOffset, i), at(into, intoOffset, i));
      put(into, intoOffset, i, sum);
    }
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
    double squares = 0;
    for (long i = 0; i < count; i++) {
      double value = at(x, xOffset, i);
      squares += value * value;
    }
    double factor = 1 / Math.sqrt(squares / count + eps);
    for (long i = 0; i < count; i++) {
      put(out, outOffset, i, at(x, xOffset, i) * factor * at(weight, weightOffset, i));
    }
  }

  @Override
  public void softmax(MemorySegment x, long xOffset, long count) {
    float max = Float.NEGATIVE_INFINITY;
    for (long i = 0; i < count; i++) {
      max = Math.max(max, at(x, xOffset, i));
    }
    double sum = 0;
    for (long i = 0; i < count; i++) {
      sum += Math.exp((double) at(x, xOffset, i) - max);
    }
    for (long i = 0; i < count; i++) {
      put(x, xOffset, i, Math.exp((double) at(x, xOffset, i) - max) / sum);
    }
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
    for (long i = 0; i < count; i++) {
      double g = at(gate, gateOffset, i);
      put(out, outOffset, i, g / (1 + Math.exp(-g)) * at(up, upOffset, i));
    }
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
    for (long i = 0; i < pairs; i++) {
      long first = layout == RopeLayout.INTERLEAVED ? 2 * i : i;
      long second = layout == RopeLayout.INTERLEAVED ? 2 * i + 1 : i + pairs;
      double a = at(x, xOffset, first);
      double b = at(x, xOffset, second);
      double c = at(cos, cosOffset, i);
      double s = at(sin, sinOffset, i);
      put(x, xOffset, first, a * c - b * s);
      put(x, xOffset, second, b * c + a * s);
    }
  }
}
