package smelt.calibrate.math;

import java.lang.foreign.MemorySegment;

/// The inner loops of the reference model, on F32 numbers in native byte order. `ScalarMath` is the
/// definition; every other set stays within the bound that its test derives.
///
/// Offsets are bytes and need no alignment, counts are numbers. Nothing outside the stated ranges
/// is touched. Implementations have no state; any thread may call them.
public interface MathKernels {

  /// Name for the log, such as `scalar` or `vector-512`.
  String name();

  /// The sum of the products of `count` pairs.
  float dot(MemorySegment a, long aOffset, MemorySegment b, long bOffset, long count);

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
