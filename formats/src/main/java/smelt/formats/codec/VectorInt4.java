package smelt.formats.codec;

import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static jdk.incubator.vector.VectorOperators.EQ;
import static jdk.incubator.vector.VectorOperators.I2F;
import static jdk.incubator.vector.VectorOperators.L2B;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.LSHR;
import static jdk.incubator.vector.VectorOperators.LT;
import static jdk.incubator.vector.VectorOperators.MIN;
import static smelt.formats.codec.Layouts.F32;
import static smelt.formats.codec.Layouts.U32;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.LongVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/// The kernels of 4-bit codes with the Vector API; as in `VectorKernels`, no method takes or
/// returns a vector. Memory is off the heap.
final class VectorInt4 {

  private static final VectorSpecies<Integer> I = IntVector.SPECIES_PREFERRED;
  private static final VectorSpecies<Float> F = FloatVector.SPECIES_PREFERRED;

  private static final Class<? extends MemorySegment> OFF_HEAP = MemorySegment.NULL.getClass();

  /// Half as many bytes as `I` has lanes, where that is not less than the smallest vector.
  private static final VectorSpecies<Byte> B_OF_HALF =
      VectorSpecies.of(
          byte.class, VectorShape.forBitSize(Math.max(64, I.length() / 2 * Byte.SIZE)));

  /// Where in a word each lane's code lies, and whether it is of the vector's second word.
  private static final IntVector SHIFTS = IntVector.broadcast(I, 0).addIndex(4).and(31);

  private static final VectorMask<Integer> SECOND =
      VectorMask.fromLong(I, I.length() > 8 ? 0xFF00L : 0);

  private static final IntVector LANES = IntVector.broadcast(I, 0).addIndex(1);

  /// Adding it rounds to an integer, half to even, which is then in the low bits of the sum.
  private static final float TO_INTEGER = 0x1p23f;

  /// Values between two looks at whether a candidate can still win.
  private static final int STRIDE = 8;

  /// That no candidate of a chunk is better.
  private static final long NONE = -1;

  private VectorInt4() {}

  /// @return how many codes of the run were decoded, an even number
  static long decode(
      MemorySegment codesMemory,
      long codesOffset,
      float scale,
      MemorySegment outMemory,
      long outOffset,
      long n) {
    MemorySegment codes = OFF_HEAP.cast(codesMemory);
    MemorySegment out = OFF_HEAP.cast(outMemory);
    int step = Math.max(Encoding.Int4.PER_WORD, I.length());
    long i = 0;
    for (; i <= n - step; i += step) {
      long at = codesOffset + i / 2;
      if (I.length() > 8) {
        IntVector.broadcast(I, codes.get(U32, at))
            .blend(codes.get(U32, at + Integer.BYTES), SECOND)
            .lanewise(LSHR, SHIFTS)
            .and(0xF)
            .sub(Scalars.INT4_BIAS)
            .convert(I2F, 0)
            .reinterpretAsFloats()
            .mul(scale)
            .intoMemorySegment(out, outOffset + Float.BYTES * i, LITTLE_ENDIAN);
      } else {
        for (int part = 0; part < Encoding.Int4.PER_WORD; part += I.length()) {
          IntVector.broadcast(I, codes.get(U32, at) >>> (4 * part))
              .lanewise(LSHR, SHIFTS)
              .and(0xF)
              .sub(Scalars.INT4_BIAS)
              .convert(I2F, 0)
              .reinterpretAsFloats()
              .mul(scale)
              .intoMemorySegment(out, outOffset + Float.BYTES * (i + part), LITTLE_ENDIAN);
        }
      }
    }
    return i;
  }

  /// @return how many values of the run were encoded, an even number
  static long encode(
      MemorySegment inMemory,
      long inOffset,
      float scale,
      MemorySegment outMemory,
      long outOffset,
      long n) {
    MemorySegment in = OFF_HEAP.cast(inMemory);
    MemorySegment out = OFF_HEAP.cast(outMemory);
    FloatVector divisor = FloatVector.broadcast(F, scale);
    long i = 0;
    // A store is of eight bytes, whatever part of them counts.
    for (; i <= n - Math.max(I.length(), 2 * Long.BYTES); i += I.length()) {
      // What is added rounds to an integer, half to even, and leaves it in the low bits of the sum.
      LongVector pairs =
          FloatVector.fromMemorySegment(F, in, inOffset + Float.BYTES * i, LITTLE_ENDIAN)
              .div(divisor)
              .max(-Scalars.INT4_MAX)
              .min(Scalars.INT4_MAX)
              .add(1.5f * TO_INTEGER)
              .reinterpretAsInts()
              .add(Scalars.INT4_BIAS)
              .and(0xF)
              .reinterpretAsLongs();
      pairs
          .lanewise(LSHR, 28)
          .or(pairs)
          .convertShape(L2B, B_OF_HALF, 0)
          .reinterpretAsBytes()
          .intoMemorySegment(out, outOffset + i / 2, LITTLE_ENDIAN);
    }
    return i;
  }

  /// As `Int4Search.best`.
  static float search(MemorySegment in, long inOffset, long count, float absmax) {
    if (absmax == 0) {
      return 1f;
    }
    int first = Int4Search.firstBits(absmax);
    int bestBits = first;
    float best = Float.POSITIVE_INFINITY;
    for (int bits = first; bits >= Int4Search.LEAST_BITS; bits -= I.length()) {
      if (Int4Search.cutsOffMoreThan(best, Int4Search.scale(bits), absmax)) {
        break;
      }
      long found = chunk(in, inOffset, count, bits, -1, best);
      if (found != NONE) {
        best = Float.intBitsToFloat((int) (found >>> 16));
        bestBits = (int) found & 0xFFFF;
      }
    }
    for (int bits = first + 1;
        bits <= Int4Search.MOST_BITS && Int4Search.scale(bits) <= 4 * absmax;
        bits += I.length()) {
      if (Int4Search.isLookDue(bits - first)
          && Int4Search.zerosCostNoLessThan(best, in, inOffset, count, Int4Search.scale(bits))) {
        break;
      }
      long found = chunk(in, inOffset, count, bits, 1, best);
      if (found != NONE) {
        best = Float.intBitsToFloat((int) (found >>> 16));
        bestBits = (int) found & 0xFFFF;
      }
    }
    return Int4Search.scale(bestBits);
  }

  /// Tries as many candidates as there are lanes; those beyond the last are the last again.
  ///
  /// @param step from one candidate to the next, 1 or -1
  /// @return the bits of the least error and then 16 of its scale, if it is less than `best`
  private static long chunk(
      MemorySegment inMemory, long inOffset, long count, int bits, int step, float best) {
    MemorySegment in = OFF_HEAP.cast(inMemory);
    FloatVector scale =
        LANES
            .mul(step)
            .add(bits)
            .max(Int4Search.LEAST_BITS)
            .min(Int4Search.MOST_BITS)
            .lanewise(LSHL, 16)
            .reinterpretAsFloats();
    FloatVector inverse = FloatVector.broadcast(F, 1f).div(scale);
    FloatVector minus = scale.neg();
    FloatVector error = FloatVector.zero(F);
    for (long i = 0; i < count; ) {
      long end = Math.min(count, i + STRIDE);
      for (; i < end; i++) {
        FloatVector a = FloatVector.broadcast(F, Math.abs(in.get(F32, inOffset + Float.BYTES * i)));
        FloatVector rest =
            a.mul(inverse).min(Scalars.INT4_MAX).add(TO_INTEGER).sub(TO_INTEGER).fma(minus, a);
        error = rest.fma(rest, error);
      }
      if (!error.compare(LT, best).anyTrue()) {
        return NONE;
      }
    }
    float least = error.reduceLanes(MIN);
    int lane = error.compare(EQ, least).firstTrue();
    int found = Math.clamp(bits + step * lane, Int4Search.LEAST_BITS, Int4Search.MOST_BITS);
    return (long) Float.floatToRawIntBits(least) << 16 | found;
  }
}
