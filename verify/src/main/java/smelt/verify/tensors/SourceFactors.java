package smelt.verify.tensors;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Optional;
import smelt.calibrate.smooth.ChannelMap;
import smelt.formats.ElementType;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;

/// What smoothing has multiplied a weight's numbers by: factors of columns, and one divided by the
/// factors of rows, or of the numbers of a vector. All are powers of two from 2^-13 to 2^13, so a
/// product in F32 has no error.
///
/// The first producer of a pair tells the factors, where `a` is the source's and `b` the result's:
///
/// | producer | factor of a channel |
/// |---|---|
/// | vector, kept as it is | `a / b`; 1 where that is no power of two |
/// | row of a matrix, rounded | `2^round(log2(norm(a) / norm(b)))`, `a` times its columns' factors |
///
/// and 1 where that is out of range, or where one side is all zero. What was not smoothed has
/// factors of 1 by that.
///
/// For one thread; weights of a pair share the factors.
final class SourceFactors {

  /// Nothing is multiplied.
  static final SourceFactors NONE = new SourceFactors(Optional.empty(), Optional.empty(), false, 0);

  private static final ValueLayout.OfFloat F32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final int LARGEST_EXPONENT = 13;
  private static final double LOG_2 = StrictMath.log(2);

  /// Factors that rows are divided by, or numbers of a vector.
  ///
  /// @param factors of the pair's channels; those that are not told yet are 1
  /// @param told whether this weight tells them
  @SuppressWarnings("ArrayRecordComponent")
  record Divisors(float[] factors, ChannelMap map, boolean told) {
    float reciprocal(long index) {
      int i = Math.toIntExact(index);
      return map.covers(i) ? 1 / factors[map.channel(i)] : 1;
    }
  }

  private final Optional<Divisors> divisors;
  private final Optional<float[]> columns;
  private final boolean isVector;
  private final double tolerance;

  private SourceFactors(
      Optional<Divisors> divisors, Optional<float[]> columns, boolean isVector, double tolerance) {
    this.divisors = divisors;
    this.columns = columns;
    this.isVector = isVector;
    this.tolerance = tolerance;
  }

  /// @param columns factor of each column
  SourceFactors(Pairing.Pair pair, Optional<Divisors> divisors, Optional<float[]> columns) {
    this(divisors, columns, pair.source().shape().rank() < 2, tolerance(pair));
  }

  /// How far the ratio of two numbers may be from a power of two: by half a unit in the last place
  /// where the result has a type with fewer digits.
  private static double tolerance(Pairing.Pair pair) {
    ElementType type = type(pair.result());
    if (type == type(pair.source())) {
      return 0;
    }
    return switch (type) {
      case BF16 -> 0x1p-8;
      case F16 -> 0x1p-11;
      default -> 0;
    };
  }

  private static ElementType type(Weight weight) {
    return weight.encoding() instanceof Encoding.Plain(ElementType type) ? type : ElementType.F32;
  }

  /// Whether the factor of a row is to be told from its numbers.
  boolean tellsRow(long row) {
    return !isVector
        && divisors.isPresent()
        && divisors.get().told()
        && divisors.get().map().covers(Math.toIntExact(row));
  }

  /// Tells the factor of a row.
  ///
  /// @param source sum of the squares of its numbers, times the factors of columns
  /// @param result the same of the result's
  void tellRow(long row, double source, double result) {
    Divisors own = divisors.orElseThrow();
    double exponent = Math.rint(StrictMath.log(source / result) / LOG_2 / 2);
    own.factors()[own.map().channel(Math.toIntExact(row))] = power(exponent);
  }

  /// 1 also for an exponent that is no number.
  private static float power(double exponent) {
    return Math.abs(exponent) <= LARGEST_EXPONENT ? Math.scalb(1f, (int) exponent) : 1;
  }

  /// Tells the factors of some numbers of a vector, if this one tells any.
  ///
  /// @param first place of the first of them
  void tellNumbers(long first, long count, MemorySegment source, MemorySegment result) {
    if (!isVector || divisors.isEmpty() || !divisors.get().told()) {
      return;
    }
    Divisors own = divisors.get();
    for (long i = 0; i < count; i++) {
      int place = Math.toIntExact(first + i);
      if (own.map().covers(place)) {
        double ratio = (double) source.get(F32, Float.BYTES * i) / result.get(F32, Float.BYTES * i);
        own.factors()[own.map().channel(place)] = nearest(ratio);
      }
    }
  }

  private float nearest(double ratio) {
    if (!(ratio > 0 && ratio < Double.POSITIVE_INFINITY)) {
      return 1;
    }
    double exponent = Math.rint(StrictMath.log(ratio) / LOG_2);
    boolean close = Math.abs(Math.scalb(ratio, -(int) exponent) - 1) <= tolerance;
    return close ? power(exponent) : 1;
  }

  /// Multiplies numbers of the source by their factors, in place.
  ///
  /// @param row of the weight; 0 for a vector
  /// @param col column of the first number, or its place in a vector
  void multiply(long row, long col, long count, MemorySegment source) {
    if (divisors.isEmpty() && columns.isEmpty()) {
      return;
    }
    float ofRow = isVector || divisors.isEmpty() ? 1 : divisors.get().reciprocal(row);
    if (!isVector && columns.isEmpty() && ofRow == 1) {
      return;
    }
    for (long i = 0; i < count; i++) {
      float factor = ofRow;
      if (isVector) {
        factor = divisors.get().reciprocal(col + i);
      } else if (columns.isPresent()) {
        factor *= columns.get()[Math.toIntExact(col + i)];
      }
      long at = Float.BYTES * i;
      source.set(F32, at, source.get(F32, at) * factor);
    }
  }
}
