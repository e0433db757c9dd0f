package smelt.verify.tensors;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/// What differs between values `a` of the source and `b` of the result, as sums in FP64. Pairs of
/// which one is not finite are in no sum.
///
/// The order of the additions is fixed: within one [#add] the elements at even places are added up
/// apart from those at odd places. Whoever splits a tensor adds up its parts in order.
final class Deviation {

  private static final ValueLayout.OfInt U32 =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfFloat F32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private static final int INFINITE = 0x7F800000;

  private double signal;
  private double result;
  private double noise;
  private double product;
  private double largest;
  private long nonFinite;
  private boolean exact = true;

  /// Adds `count` pairs of F32 values.
  void add(MemorySegment a, MemorySegment b, long count) {
    int differ = 0;
    int high = 0;
    for (long i = 0; i < Float.BYTES * count; i += Float.BYTES) {
      int x = a.get(U32, i);
      int y = b.get(U32, i);
      differ |= x ^ y;
      high = Math.max(high, Math.max(x & Integer.MAX_VALUE, y & Integer.MAX_VALUE));
    }
    if (high >= INFINITE) {
      addCarefully(a, b, count);
    } else if (differ == 0) {
      addEqual(a, count);
    } else {
      exact = false;
      addFinite(a, b, count);
    }
  }

  private void addEqual(MemorySegment a, long count) {
    double even = 0;
    double odd = 0;
    long end = Float.BYTES * count;
    long i = 0;
    for (; i <= end - 2 * Float.BYTES; i += 2 * Float.BYTES) {
      double x = a.get(F32, i);
      double x1 = a.get(F32, i + Float.BYTES);
      even += x * x;
      odd += x1 * x1;
    }
    if (i < end) {
      double x = a.get(F32, i);
      even += x * x;
    }
    double sum = even + odd;
    signal += sum;
    result += sum;
    product += sum;
  }

  private void addFinite(MemorySegment a, MemorySegment b, long count) {
    double signal0 = 0;
    double signal1 = 0;
    double result0 = 0;
    double result1 = 0;
    double product0 = 0;
    double product1 = 0;
    double noise0 = 0;
    double noise1 = 0;
    double largest0 = 0;
    double largest1 = 0;
    long pairs = count & -2;
    for (long i = 0; i < Float.BYTES * pairs; i += 2 * Float.BYTES) {
      double x0 = a.get(F32, i);
      double y0 = b.get(F32, i);
      double error0 = x0 - y0;
      signal0 += x0 * x0;
      result0 += y0 * y0;
      product0 += x0 * y0;
      noise0 += error0 * error0;
      largest0 = Math.max(largest0, Math.abs(error0));
      double x1 = a.get(F32, i + Float.BYTES);
      double y1 = b.get(F32, i + Float.BYTES);
      double error1 = x1 - y1;
      signal1 += x1 * x1;
      result1 += y1 * y1;
      product1 += x1 * y1;
      noise1 += error1 * error1;
      largest1 = Math.max(largest1, Math.abs(error1));
    }
    signal += signal0 + signal1;
    result += result0 + result1;
    product += product0 + product1;
    noise += noise0 + noise1;
    largest = Math.max(largest, Math.max(largest0, largest1));
    if (pairs < count) {
      addPair(a.get(F32, Float.BYTES * pairs), b.get(F32, Float.BYTES * pairs));
    }
  }

  private void addCarefully(MemorySegment a, MemorySegment b, long count) {
    for (long i = 0; i < Float.BYTES * count; i += Float.BYTES) {
      float x = a.get(F32, i);
      float y = b.get(F32, i);
      exact &= Float.floatToRawIntBits(x) == Float.floatToRawIntBits(y);
      nonFinite += Float.isFinite(y) ? 0 : 1;
      if (Float.isFinite(x) && Float.isFinite(y)) {
        addPair(x, y);
      } else if (Float.isFinite(y)) {
        largest = Double.POSITIVE_INFINITY;
      }
    }
  }

  private void addPair(double x, double y) {
    double error = x - y;
    signal += x * x;
    result += y * y;
    product += x * y;
    noise += error * error;
    largest = Math.max(largest, Math.abs(error));
  }

  /// Adds what another part of the same tensor gave; it comes behind this one.
  void add(Deviation next) {
    signal += next.signal;
    result += next.result;
    product += next.product;
    noise += next.noise;
    largest = Math.max(largest, next.largest);
    nonFinite += next.nonFinite;
    exact &= next.exact;
  }

  /// Whether every value of the result has the source's bits.
  boolean exact() {
    return exact;
  }

  /// Values of the result that are NaN or infinite.
  long nonFinite() {
    return nonFinite;
  }

  /// In dB: infinite where nothing differs, negative infinity where the source is all zero and the
  /// result is not.
  double sqnrDb() {
    return noise == 0 ? Double.POSITIVE_INFINITY : 10 * Math.log10(signal / noise);
  }

  /// Infinite also where the source has a value that is not finite, and the result a finite one.
  double maxAbsError() {
    return largest;
  }

  /// 0 where nothing differs; infinite where the source is all zero and the result is not.
  double relativeError() {
    return noise == 0 ? 0 : Math.sqrt(noise / signal);
  }

  /// 1 where both are all zero, 0 where one is.
  double cosine() {
    if (signal == 0 || result == 0) {
      return signal == result ? 1 : 0;
    }
    return product / (Math.sqrt(signal) * Math.sqrt(result));
  }
}
