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

  @Override
  public float dot(MemorySegment a, long aOffset, MemorySegment b, long bOffset, long count) {
    double sum = 0;
    for (long i = 0; i < count; i++) {
      sum += (double) at(a, aOffset, i) * at(b, bOffset, i);
    }
    return (float) sum;
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
