package smelt.formats.codec;

import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static jdk.incubator.vector.VectorOperators.AND;
import static jdk.incubator.vector.VectorOperators.ASHR;
import static jdk.incubator.vector.VectorOperators.B2I;
import static jdk.incubator.vector.VectorOperators.B2S;
import static jdk.incubator.vector.VectorOperators.EQ;
import static jdk.incubator.vector.VectorOperators.GE;
import static jdk.incubator.vector.VectorOperators.GT;
import static jdk.incubator.vector.VectorOperators.I2B;
import static jdk.incubator.vector.VectorOperators.I2F;
import static jdk.incubator.vector.VectorOperators.I2S;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.LSHR;
import static jdk.incubator.vector.VectorOperators.LT;
import static jdk.incubator.vector.VectorOperators.MAX;
import static jdk.incubator.vector.VectorOperators.OR;
import static jdk.incubator.vector.VectorOperators.S2B;
import static jdk.incubator.vector.VectorOperators.S2I;
import static jdk.incubator.vector.VectorOperators.XOR;
import static smelt.formats.codec.Layouts.F32;
import static smelt.formats.codec.Layouts.U32;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/// The kernels with the Vector API, for any vector width. Each gives the bytes of `ScalarKernels`,
/// which also does what is left at the end of a run.
///
/// **No method takes or returns a vector**: when the JIT stops inlining, such a method boxes every
/// vector and the kernel becomes five times slower, silently. Bodies are written out instead.
///
/// Memory is expected off the heap, where an arena or a mapped file has it; on the heap the scalar
/// code does the work.
///
/// Sixteen-bit inputs are handled as pairs: an int lane holds two neighbours, whose even and odd
/// halves are computed apart and joined again, which needs no widening.
///
/// **Quotients.** `x / scale` is computed as `x * hi + x * rest`, where `hi` is the rounded
/// reciprocal of the scale and `hi + rest` the reciprocal to 48 bits; dividing would take most of
/// the time. The result can differ from the F32 quotient only when `x / scale` is within 2^-46
/// (relative) of the middle between two floats, and that matters only next to a value where the
/// code changes. For a BF16 `x` the few such pairs of `x` and `scale` come out right (a test goes
/// through all). For an F32 `x` one more step with the remainder makes the quotient exact, by
/// Markstein's theorem: `hi` is the rounded reciprocal, and the quotient before is within a unit in
/// the last place. Scales for which this would over- or underflow, outside `[2^-80, 2^100]`, are
/// left to the scalar code.
final class VectorKernels implements Kernels {

  private static final ScalarKernels SCALAR = new ScalarKernels();

  private static final VectorSpecies<Short> S = ShortVector.SPECIES_PREFERRED;
  private static final VectorSpecies<Integer> I = IntVector.SPECIES_PREFERRED;
  private static final VectorSpecies<Float> F = FloatVector.SPECIES_PREFERRED;
  private static final VectorSpecies<Byte> B = ByteVector.SPECIES_PREFERRED;

  /// As many bytes as `S` has lanes.
  private static final VectorSpecies<Byte> B_OF_S = VectorSpecies.of(byte.class, part(2));

  /// As many shorts as `I` has lanes.
  private static final VectorSpecies<Short> S_OF_I = VectorSpecies.of(short.class, part(2));

  /// As many bytes as `I` has lanes; with 128-bit vectors twice as many, of which the first half
  /// counts: loads and stores then reach beyond the lanes, but never beyond the run.
  private static final VectorSpecies<Byte> B_OF_I = VectorSpecies.of(byte.class, part(4));

  /// The class of off-heap memory. A cast to it at the head of a kernel tells the JIT what it would
  /// else take from a type profile that it shares with all users of memory segments in the program,
  /// the JDK's own included; once some of those are on the heap every access doubles in cost.
  private static final Class<? extends MemorySegment> OFF_HEAP = MemorySegment.NULL.getClass();

  private static final int MAGNITUDE = 0x7FFFFFFF;
  private static final int SIGN = 0x80000000;
  private static final int UPPER_HALF = 0xFFFF0000;
  private static final int EXPONENT = 0x7F800000;
  private static final int QUIET_NAN = 0x7FC00000;

  private static final float SMALLEST_SCALE = 0x1p-80f;
  private static final float LARGEST_SCALE = 0x1p100f;

  /// Added to an E4M3 code whose fields were moved to those of an F32: the difference of the
  /// biases.
  private static final int E4M3_TO_F32_EXPONENT = (127 - 7) << 23;

  private static final int F32_EXPONENT_ONE = 1 << 23;
  private static final int E4M3_SMALLEST_NORMAL_BITS = Float.floatToRawIntBits(0x1p-6f);

  /// The E4M3 values of codes 0 to 7, and half of those of codes 8 to 15: their BF16 plus the
  /// exponent field of the code, at its place in a BF16, is the BF16 of every code.
  private static final float[] E4M3_TABLE = new float[16];

  static {
    for (int fraction = 0; fraction < 8; fraction++) {
      E4M3_TABLE[fraction] = fraction * 0x1p-9f;
      E4M3_TABLE[8 + fraction] = (8 + fraction) * 0x1p-10f;
    }
  }

  private static final int E4M3_FIELDS = 0x07F00000;
  private static final int E4M3_LEAST_NORMAL_FIELDS = 0x00800000;

  /// Exponent field of 2^-6, the smallest normal E4M3: below it the spacing stays 2^-9.
  private static final int E4M3_LEAST_EXPONENT = (127 - 6) << 23;

  /// Added to the exponent field of a number it gives the power of two whose last bit is an eighth
  /// of that number's leading bit: adding that power rounds to four significant bits, half to even.
  private static final int E4M3_ROUNDING = 20 << 23;

  /// What `t - m + (m >>> 20)` is more than the code, see `encodeE4m3Run`.
  private static final int E4M3_EXCESS = (E4M3_LEAST_EXPONENT + E4M3_ROUNDING) >>> 20;

  /// Adding it rounds to an integer, half to even, which is then in the low bits of the sum.
  private static final float TO_INTEGER = 0x1p23f;

  private static VectorShape part(int divisor) {
    return VectorShape.forBitSize(Math.max(64, S.vectorBitSize() / divisor));
  }

  private static boolean isOrdinary(float scale) {
    return scale >= SMALLEST_SCALE && scale <= LARGEST_SCALE;
  }

  private static boolean isOffHeap(MemorySegment in, MemorySegment out) {
    return OFF_HEAP.isInstance(in) && OFF_HEAP.isInstance(out);
  }

  @Override
  public String name() {
    return "vector-" + I.vectorBitSize();
  }

  @Override
  public void decodeBf16(
      MemorySegment inMemory, long inOffset, MemorySegment outMemory, long outOffset, long count) {
    if (!isOffHeap(inMemory, outMemory)) {
      SCALAR.decodeBf16(inMemory, inOffset, outMemory, outOffset, count);
      return;
    }
    MemorySegment in = OFF_HEAP.cast(inMemory);
    MemorySegment out = OFF_HEAP.cast(outMemory);
    long i = 0;
    for (; i <= count - S_OF_I.length(); i += I.length()) {
      ShortVector.fromMemorySegment(S_OF_I, in, inOffset + Short.BYTES * i, LITTLE_ENDIAN)
          .convertShape(S2I, I, 0)
          .reinterpretAsInts()
          .lanewise(LSHL, 16)
          .intoMemorySegment(out, outOffset + Float.BYTES * i, LITTLE_ENDIAN);
    }
    SCALAR.decodeBf16(in, inOffset + Short.BYTES * i, out, outOffset + Float.BYTES * i, count - i);
  }

  /// The fields are moved into place and the exponent gets the difference of the biases, once more
  /// for infinity and NaN. A subnormal's exponent gets one more; the leading bit that this implies
  /// is subtracted again.
  @Override
  public void decodeF16(
      MemorySegment inMemory, long inOffset, MemorySegment outMemory, long outOffset, long count) {
    if (!isOffHeap(inMemory, outMemory)) {
      SCALAR.decodeF16(inMemory, inOffset, outMemory, outOffset, count);
      return;
    }
    MemorySegment in = OFF_HEAP.cast(inMemory);
    MemorySegment out = OFF_HEAP.cast(outMemory);
    long i = 0;
    for (; i <= count - S_OF_I.length(); i += I.length()) {
      IntVector h =
          ShortVector.fromMemorySegment(S_OF_I, in, inOffset + Short.BYTES * i, LITTLE_ENDIAN)
              .convertShape(S2I, I, 0)
              .reinterpretAsInts();
      IntVector m = h.and(0x7FFF);
      VectorMask<Integer> subnormal = m.compare(LT, 0x400);
      IntVector x =
          m.lanewise(LSHL, 13)
              .add((127 - 15) << 23)
              .add(1 << 23, subnormal)
              .add((127 - 15) << 23, m.compare(GE, 0x7C00));
      x.reinterpretAsFloats()
          .sub(0x1p-14f, subnormal.cast(F))
          .reinterpretAsInts()
          .blend(x.or(QUIET_NAN), m.compare(GT, 0x7C00))
          .or(h.and(SIGN))
          .intoMemorySegment(out, outOffset + Float.BYTES * i, LITTLE_ENDIAN);
    }
    SCALAR.decodeF16(in, inOffset + Short.BYTES * i, out, outOffset + Float.BYTES * i, count - i);
  }

  @Override
  public void decodeE4m3(
      MemorySegment codes,
      long codesOffset,
      MemorySegment scales,
      long scalesOffset,
      long block,
      MemorySegment out,
      long outOffset,
      long count) {
    if (!isOffHeap(codes, out)) {
      SCALAR.decodeE4m3(codes, codesOffset, scales, scalesOffset, block, out, outOffset, count);
      return;
    }
    for (long start = 0, b = 0; start < count; b++) {
      long n = Math.min(block, count - start);
      long inAt = codesOffset + start;
      long scaleAt = scalesOffset + Float.BYTES * b;
      long outAt = outOffset + Float.BYTES * start;
      long done = decodeE4m3Run(codes, inAt, scales.get(F32, scaleAt), out, outAt, n);
      if (done < n) {
        inAt += done;
        outAt += Float.BYTES * done;
        SCALAR.decodeE4m3(codes, inAt, scales, scaleAt, n, out, outAt, n - done);
      }
      start += n;
    }
  }

  /// A code's fields are moved to those of an F32. For a subnormal code that is a number between
  /// the smallest normal one, 2^-6, and twice that, from which 2^-6 is taken away. F32 subnormals
  /// would give the same without that step, but many processors are a hundred times slower on them.
  private static long decodeE4m3Run(
      MemorySegment codesMemory,
      long codesOffset,
      float scale,
      MemorySegment outMemory,
      long outOffset,
      long n) {
    MemorySegment codes = OFF_HEAP.cast(codesMemory);
    MemorySegment out = OFF_HEAP.cast(outMemory);
    long i = 0;
    for (; i <= n - B_OF_I.length(); i += I.length()) {
      IntVector c =
          ByteVector.fromMemorySegment(B_OF_I, codes, codesOffset + i, LITTLE_ENDIAN)
              .convertShape(B2I, I, 0)
              .reinterpretAsInts();
      IntVector fields = c.lanewise(LSHL, 20).and(E4M3_FIELDS);
      VectorMask<Integer> subnormal = fields.compare(LT, E4M3_LEAST_NORMAL_FIELDS);
      fields
          .add(E4M3_TO_F32_EXPONENT)
          .add(F32_EXPONENT_ONE, subnormal)
          .reinterpretAsFloats()
          .sub(0x1p-6f, subnormal.cast(F))
          .mul(scale)
          .reinterpretAsInts()
          .blend(QUIET_NAN, fields.compare(EQ, E4M3_FIELDS))
          .or(c.and(SIGN))
          .intoMemorySegment(out, outOffset + Float.BYTES * i, LITTLE_ENDIAN);
    }
    return i;
  }

  @Override
  public void decodeE4m3ToBf16(
      MemorySegment codes,
      long codesOffset,
      MemorySegment scales,
      long scalesOffset,
      long block,
      MemorySegment out,
      long outOffset,
      long count) {
    if (!isOffHeap(codes, out)) {
      SCALAR.decodeE4m3ToBf16(
          codes, codesOffset, scales, scalesOffset, block, out, outOffset, count);
      return;
    }
    for (long start = 0, b = 0; start < count; b++) {
      long n = Math.min(block, count - start);
      long inAt = codesOffset + start;
      long scaleAt = scalesOffset + Float.BYTES * b;
      long outAt = outOffset + Short.BYTES * start;
      long done = decodeE4m3ToBf16Run(codes, inAt, scales.get(F32, scaleAt), out, outAt, n);
      if (done < n) {
        inAt += done;
        outAt += Short.BYTES * done;
        SCALAR.decodeE4m3ToBf16(codes, inAt, scales, scaleAt, n, out, outAt, n - done);
      }
      start += n;
    }
  }

  /// The BF16 of a code is that of its fraction, times a power of two: the eight fractions are
  /// scaled and rounded once, the exponent is added to the result. Subnormal codes are eight more
  /// entries of the table.
  private static long decodeE4m3ToBf16Run(
      MemorySegment codesMemory,
      long codesOffset,
      float scale,
      MemorySegment outMemory,
      long outOffset,
      long n) {
    MemorySegment codes = OFF_HEAP.cast(codesMemory);
    MemorySegment out = OFF_HEAP.cast(outMemory);
    if (S.length() < 2 * E4M3_TABLE.length || !isOrdinary(scale)) {
      return decodeE4m3ToBf16Pairs(codesMemory, codesOffset, scale, outMemory, outOffset, n);
    }
    IntVector entries = FloatVector.fromArray(F, E4M3_TABLE, 0).mul(scale).reinterpretAsInts();
    ShortVector table =
        entries
            .add(entries.lanewise(LSHR, 16).and(1))
            .add(0x7FFF)
            .lanewise(LSHR, 16)
            .convertShape(I2S, S_OF_I, 0)
            .reinterpretShape(S, 0)
            .reinterpretAsShorts();
    long i = 0;
    for (; i <= n - B_OF_S.length(); i += B_OF_S.length()) {
      ShortVector c =
          ByteVector.fromMemorySegment(B_OF_S, codes, codesOffset + i, LITTLE_ENDIAN)
              .convertShape(B2S, S, 0)
              .reinterpretAsShorts();
      ShortVector m = c.lanewise(AND, (short) 0x7F);
      m.min(c.lanewise(AND, (short) 7).lanewise(OR, (short) 8))
          .selectFrom(table)
          .add(m.lanewise(AND, (short) 0x78).lanewise(LSHL, 4))
          .blend((short) 0x7FC0, m.compare(EQ, (short) 0x7F))
          .lanewise(OR, c.lanewise(AND, (short) 0x8000))
          .intoMemorySegment(out, outOffset + Short.BYTES * i, LITTLE_ENDIAN);
    }
    return i;
  }

  /// For vectors that do not hold the table, and scales for which powers of two would not be exact.
  /// Stops at a vector that holds a NaN code, for the scalar code to go on.
  private static long decodeE4m3ToBf16Pairs(
      MemorySegment codesMemory,
      long codesOffset,
      float scale,
      MemorySegment outMemory,
      long outOffset,
      long n) {
    MemorySegment codes = OFF_HEAP.cast(codesMemory);
    MemorySegment out = OFF_HEAP.cast(outMemory);
    long i = 0;
    for (; i <= n - B_OF_S.length(); i += B_OF_S.length()) {
      ByteVector c = ByteVector.fromMemorySegment(B_OF_S, codes, codesOffset + i, LITTLE_ENDIAN);
      if (c.lanewise(AND, (byte) 0x7F).compare(EQ, (byte) 0x7F).anyTrue()) {
        return i;
      }
      IntVector pair = c.reinterpretAsShorts().convertShape(S2I, I, 0).reinterpretAsInts();
      IntVector evenSign = pair.lanewise(LSHL, 24).and(SIGN);
      IntVector oddSign = pair.lanewise(LSHL, 16).and(SIGN);
      IntVector even = pair.lanewise(LSHL, 20).and(E4M3_FIELDS);
      IntVector odd = pair.lanewise(LSHL, 12).and(E4M3_FIELDS);
      IntVector evenSubnormal = even.sub(E4M3_LEAST_NORMAL_FIELDS).lanewise(ASHR, 31);
      IntVector oddSubnormal = odd.sub(E4M3_LEAST_NORMAL_FIELDS).lanewise(ASHR, 31);
      even =
          even.add(E4M3_TO_F32_EXPONENT)
              .add(evenSubnormal.and(F32_EXPONENT_ONE))
              .reinterpretAsFloats()
              .sub(evenSubnormal.and(E4M3_SMALLEST_NORMAL_BITS).reinterpretAsFloats())
              .mul(scale)
              .reinterpretAsInts()
              .or(evenSign);
      odd =
          odd.add(E4M3_TO_F32_EXPONENT)
              .add(oddSubnormal.and(F32_EXPONENT_ONE))
              .reinterpretAsFloats()
              .sub(oddSubnormal.and(E4M3_SMALLEST_NORMAL_BITS).reinterpretAsFloats())
              .mul(scale)
              .reinterpretAsInts()
              .or(oddSign);
      even = even.add(even.lanewise(LSHR, 16).and(1)).add(0x7FFF);
      odd = odd.add(odd.lanewise(LSHR, 16).and(1)).add(0x7FFF);
      even.lanewise(LSHR, 16)
          .or(odd.and(UPPER_HALF))
          .intoMemorySegment(out, outOffset + Short.BYTES * i, LITTLE_ENDIAN);
    }
    return i;
  }

  @Override
  public boolean anyNanE4m3(MemorySegment codesMemory, long codesOffset, long count) {
    if (!OFF_HEAP.isInstance(codesMemory)) {
      return SCALAR.anyNanE4m3(codesMemory, codesOffset, count);
    }
    MemorySegment codes = OFF_HEAP.cast(codesMemory);
    long i = 0;
    for (; i <= count - B.length(); i += B.length()) {
      ByteVector c = ByteVector.fromMemorySegment(B, codes, codesOffset + i, LITTLE_ENDIAN);
      if (c.lanewise(AND, (byte) 0x7F).compare(EQ, (byte) 0x7F).anyTrue()) {
        return true;
      }
    }
    return SCALAR.anyNanE4m3(codes, codesOffset + i, count - i);
  }

  @Override
  public void decodeE5m2(
      MemorySegment codes,
      long codesOffset,
      MemorySegment scales,
      long scalesOffset,
      long block,
      MemorySegment out,
      long outOffset,
      long count) {
    if (!isOffHeap(codes, out)) {
      SCALAR.decodeE5m2(codes, codesOffset, scales, scalesOffset, block, out, outOffset, count);
      return;
    }
    for (long start = 0, b = 0; start < count; b++) {
      long n = Math.min(block, count - start);
      long inAt = codesOffset + start;
      long scaleAt = scalesOffset + Float.BYTES * b;
      long outAt = outOffset + Float.BYTES * start;
      long done = decodeE5m2Run(codes, inAt, scales.get(F32, scaleAt), out, outAt, n);
      if (done < n) {
        inAt += done;
        outAt += Float.BYTES * done;
        SCALAR.decodeE5m2(codes, inAt, scales, scaleAt, n, out, outAt, n - done);
      }
      start += n;
    }
  }

  /// E5M2 is the upper half of an F16: decoded as in `decodeF16`, then scaled.
  private static long decodeE5m2Run(
      MemorySegment codesMemory,
      long codesOffset,
      float scale,
      MemorySegment outMemory,
      long outOffset,
      long n) {
    MemorySegment codes = OFF_HEAP.cast(codesMemory);
    MemorySegment out = OFF_HEAP.cast(outMemory);
    long i = 0;
    for (; i <= n - B_OF_I.length(); i += I.length()) {
      IntVector c =
          ByteVector.fromMemorySegment(B_OF_I, codes, codesOffset + i, LITTLE_ENDIAN)
              .convertShape(B2I, I, 0)
              .reinterpretAsInts();
      IntVector m = c.and(0x7F);
      VectorMask<Integer> subnormal = m.compare(LT, 0x04);
      m.lanewise(LSHL, 21)
          .add((127 - 15) << 23)
          .add(1 << 23, subnormal)
          .add((127 - 15) << 23, m.compare(GE, 0x7C))
          .reinterpretAsFloats()
          .sub(0x1p-14f, subnormal.cast(F))
          .mul(scale)
          .reinterpretAsInts()
          .blend(QUIET_NAN, m.compare(GT, 0x7C))
          .or(c.and(SIGN))
          .intoMemorySegment(out, outOffset + Float.BYTES * i, LITTLE_ENDIAN);
    }
    return i;
  }

  @Override
  public void decodeInt8(
      MemorySegment codes,
      long codesOffset,
      MemorySegment scales,
      long scalesOffset,
      long block,
      MemorySegment out,
      long outOffset,
      long count) {
    if (!isOffHeap(codes, out)) {
      SCALAR.decodeInt8(codes, codesOffset, scales, scalesOffset, block, out, outOffset, count);
      return;
    }
    for (long start = 0, b = 0; start < count; b++) {
      long n = Math.min(block, count - start);
      long inAt = codesOffset + start;
      long scaleAt = scalesOffset + Float.BYTES * b;
      long outAt = outOffset + Float.BYTES * start;
      long done = decodeInt8Run(codes, inAt, scales.get(F32, scaleAt), out, outAt, n);
      if (done < n) {
        inAt += done;
        outAt += Float.BYTES * done;
        SCALAR.decodeInt8(codes, inAt, scales, scaleAt, n, out, outAt, n - done);
      }
      start += n;
    }
  }

  private static long decodeInt8Run(
      MemorySegment codesMemory,
      long codesOffset,
      float scale,
      MemorySegment outMemory,
      long outOffset,
      long n) {
    MemorySegment codes = OFF_HEAP.cast(codesMemory);
    MemorySegment out = OFF_HEAP.cast(outMemory);
    long i = 0;
    for (; i <= n - B_OF_I.length(); i += I.length()) {
      ByteVector.fromMemorySegment(B_OF_I, codes, codesOffset + i, LITTLE_ENDIAN)
          .convertShape(B2I, I, 0)
          .convertShape(I2F, F, 0)
          .reinterpretAsFloats()
          .mul(scale)
          .intoMemorySegment(out, outOffset + Float.BYTES * i, LITTLE_ENDIAN);
    }
    return i;
  }

  @Override
  public void encodeBf16(
      MemorySegment inMemory, long inOffset, MemorySegment outMemory, long outOffset, long count) {
    if (!isOffHeap(inMemory, outMemory)) {
      SCALAR.encodeBf16(inMemory, inOffset, outMemory, outOffset, count);
      return;
    }
    MemorySegment in = OFF_HEAP.cast(inMemory);
    MemorySegment out = OFF_HEAP.cast(outMemory);
    long i = 0;
    for (; i <= count - I.length(); i += I.length()) {
      IntVector x = IntVector.fromMemorySegment(I, in, inOffset + Float.BYTES * i, LITTLE_ENDIAN);
      VectorMask<Integer> nan = x.and(MAGNITUDE).compare(GT, EXPONENT);
      x.add(x.lanewise(LSHR, 16).and(1))
          .add(0x7FFF)
          .blend(x.and(SIGN).or(QUIET_NAN), nan)
          .lanewise(LSHR, 16)
          .convertShape(I2S, S_OF_I, 0)
          .reinterpretAsShorts()
          .intoMemorySegment(out, outOffset + Short.BYTES * i, LITTLE_ENDIAN);
    }
    SCALAR.encodeBf16(in, inOffset + Float.BYTES * i, out, outOffset + Short.BYTES * i, count - i);
  }

  @Override
  public void absmax(
      MemorySegment inMemory,
      long inOffset,
      long block,
      MemorySegment maxima,
      long maximaOffset,
      long count) {
    if (!OFF_HEAP.isInstance(inMemory)) {
      SCALAR.absmax(inMemory, inOffset, block, maxima, maximaOffset, count);
      return;
    }
    MemorySegment in = OFF_HEAP.cast(inMemory);
    for (long start = 0, b = 0; start < count; b++) {
      long n = Math.min(block, count - start);
      long at = inOffset + Float.BYTES * start;
      long maximumAt = maximaOffset + Float.BYTES * b;
      IntVector max = IntVector.zero(I);
      long i = 0;
      for (; i <= n - I.length(); i += I.length()) {
        max =
            IntVector.fromMemorySegment(I, in, at + Float.BYTES * i, LITTLE_ENDIAN)
                .and(MAGNITUDE)
                .max(max);
      }
      int found = max.reduceLanes(MAX);
      maxima.set(U32, maximumAt, Math.max(maxima.get(U32, maximumAt), found));
      if (i < n) {
        SCALAR.absmax(in, at + Float.BYTES * i, n, maxima, maximumAt, n - i);
      }
      start += n;
    }
  }

  @Override
  public void absmaxBf16(
      MemorySegment inMemory,
      long inOffset,
      long block,
      MemorySegment maxima,
      long maximaOffset,
      long count) {
    if (!OFF_HEAP.isInstance(inMemory)) {
      SCALAR.absmaxBf16(inMemory, inOffset, block, maxima, maximaOffset, count);
      return;
    }
    MemorySegment in = OFF_HEAP.cast(inMemory);
    for (long start = 0, b = 0; start < count; b++) {
      long n = Math.min(block, count - start);
      long at = inOffset + Short.BYTES * start;
      long maximumAt = maximaOffset + Float.BYTES * b;
      ShortVector max = ShortVector.zero(S);
      long i = 0;
      for (; i <= n - S.length(); i += S.length()) {
        max =
            ShortVector.fromMemorySegment(S, in, at + Short.BYTES * i, LITTLE_ENDIAN)
                .lanewise(AND, (short) 0x7FFF)
                .max(max);
      }
      int found = max.reduceLanes(MAX) << 16;
      maxima.set(U32, maximumAt, Math.max(maxima.get(U32, maximumAt), found));
      if (i < n) {
        SCALAR.absmaxBf16(in, at + Short.BYTES * i, n, maxima, maximumAt, n - i);
      }
      start += n;
    }
  }

  @Override
  public void raise(
      MemorySegment inMemory, long inOffset, MemorySegment maxima, long maximaOffset, long count) {
    if (!isOffHeap(inMemory, maxima)) {
      SCALAR.raise(inMemory, inOffset, maxima, maximaOffset, count);
      return;
    }
    MemorySegment in = OFF_HEAP.cast(inMemory);
    MemorySegment out = OFF_HEAP.cast(maxima);
    long i = 0;
    for (; i <= count - I.length(); i += I.length()) {
      long at = maximaOffset + Float.BYTES * i;
      IntVector.fromMemorySegment(I, in, inOffset + Float.BYTES * i, LITTLE_ENDIAN)
          .and(MAGNITUDE)
          .max(IntVector.fromMemorySegment(I, out, at, LITTLE_ENDIAN))
          .intoMemorySegment(out, at, LITTLE_ENDIAN);
    }
    SCALAR.raise(in, inOffset + Float.BYTES * i, out, maximaOffset + Float.BYTES * i, count - i);
  }

  @Override
  public void raiseBf16(
      MemorySegment inMemory, long inOffset, MemorySegment maxima, long maximaOffset, long count) {
    if (!isOffHeap(inMemory, maxima)) {
      SCALAR.raiseBf16(inMemory, inOffset, maxima, maximaOffset, count);
      return;
    }
    MemorySegment in = OFF_HEAP.cast(inMemory);
    MemorySegment out = OFF_HEAP.cast(maxima);
    long i = 0;
    for (; i <= count - S.length(); i += S.length()) {
      long at = maximaOffset + Short.BYTES * i;
      ShortVector.fromMemorySegment(S, in, inOffset + Short.BYTES * i, LITTLE_ENDIAN)
          .lanewise(AND, (short) 0x7FFF)
          .max(ShortVector.fromMemorySegment(S, out, at, LITTLE_ENDIAN))
          .intoMemorySegment(out, at, LITTLE_ENDIAN);
    }
    SCALAR.raiseBf16(
        in, inOffset + Short.BYTES * i, out, maximaOffset + Short.BYTES * i, count - i);
  }

  @Override
  public void encodeE4m3(
      MemorySegment in,
      long inOffset,
      MemorySegment scales,
      long scalesOffset,
      long block,
      MemorySegment out,
      long outOffset,
      long count) {
    if (!isOffHeap(in, out)) {
      SCALAR.encodeE4m3(in, inOffset, scales, scalesOffset, block, out, outOffset, count);
      return;
    }
    for (long start = 0, b = 0; start < count; b++) {
      long n = Math.min(block, count - start);
      long inAt = inOffset + Float.BYTES * start;
      long scaleAt = scalesOffset + Float.BYTES * b;
      long outAt = outOffset + start;
      long done = encodeE4m3Run(in, inAt, scales.get(F32, scaleAt), out, outAt, n);
      if (done < n) {
        inAt += Float.BYTES * done;
        outAt += done;
        SCALAR.encodeE4m3(in, inAt, scales, scaleAt, n, out, outAt, n - done);
      }
      start += n;
    }
  }

  /// Rounds by adding a power of two `m`, see `E4M3_ROUNDING`: `t = q + m`. Then `t - m` as bits is
  /// the significand in eighths, 8 to 16, or the subnormal 0 to 8; and `m >>> 20` is the exponent
  /// field at its place in the code, plus a constant.
  private static long encodeE4m3Run(
      MemorySegment inMemory,
      long inOffset,
      float scale,
      MemorySegment outMemory,
      long outOffset,
      long n) {
    MemorySegment in = OFF_HEAP.cast(inMemory);
    MemorySegment out = OFF_HEAP.cast(outMemory);
    if (!isOrdinary(scale)) {
      return 0;
    }
    float hi = 1 / scale;
    FloatVector reciprocal = FloatVector.broadcast(F, hi);
    FloatVector rest = FloatVector.broadcast(F, (float) (1.0 / scale - hi));
    FloatVector minusScale = FloatVector.broadcast(F, -scale);
    int cap = Float.floatToRawIntBits(Scalars.E4M3_MAX * scale);
    long i = 0;
    for (; i <= n - B_OF_I.length(); i += I.length()) {
      IntVector x = IntVector.fromMemorySegment(I, in, inOffset + Float.BYTES * i, LITTLE_ENDIAN);
      FloatVector a = x.and(MAGNITUDE).min(cap).reinterpretAsFloats();
      FloatVector q = a.fma(reciprocal, a.mul(rest));
      q = q.fma(minusScale, a).fma(reciprocal, q);
      IntVector m = q.reinterpretAsInts().and(EXPONENT).max(E4M3_LEAST_EXPONENT).add(E4M3_ROUNDING);
      IntVector t = q.add(m.reinterpretAsFloats()).reinterpretAsInts();
      t.sub(m)
          .add(m.lanewise(LSHR, 20))
          .sub(E4M3_EXCESS)
          .or(x.lanewise(LSHR, 24).and(0x80))
          .convertShape(I2B, B_OF_I, 0)
          .reinterpretAsBytes()
          .intoMemorySegment(out, outOffset + i, LITTLE_ENDIAN);
    }
    return i;
  }

  @Override
  public void encodeInt8(
      MemorySegment in,
      long inOffset,
      MemorySegment scales,
      long scalesOffset,
      long block,
      MemorySegment out,
      long outOffset,
      long count) {
    if (!isOffHeap(in, out)) {
      SCALAR.encodeInt8(in, inOffset, scales, scalesOffset, block, out, outOffset, count);
      return;
    }
    for (long start = 0, b = 0; start < count; b++) {
      long n = Math.min(block, count - start);
      long inAt = inOffset + Float.BYTES * start;
      long scaleAt = scalesOffset + Float.BYTES * b;
      long outAt = outOffset + start;
      long done = encodeInt8Run(in, inAt, scales.get(F32, scaleAt), out, outAt, n);
      if (done < n) {
        inAt += Float.BYTES * done;
        outAt += done;
        SCALAR.encodeInt8(in, inAt, scales, scaleAt, n, out, outAt, n - done);
      }
      start += n;
    }
  }

  private static long encodeInt8Run(
      MemorySegment inMemory,
      long inOffset,
      float scale,
      MemorySegment outMemory,
      long outOffset,
      long n) {
    MemorySegment in = OFF_HEAP.cast(inMemory);
    MemorySegment out = OFF_HEAP.cast(outMemory);
    if (!isOrdinary(scale)) {
      return 0;
    }
    float hi = 1 / scale;
    FloatVector reciprocal = FloatVector.broadcast(F, hi);
    FloatVector rest = FloatVector.broadcast(F, (float) (1.0 / scale - hi));
    FloatVector minusScale = FloatVector.broadcast(F, -scale);
    int cap = Float.floatToRawIntBits(Scalars.INT8_MAX * scale);
    long i = 0;
    for (; i <= n - B_OF_I.length(); i += I.length()) {
      IntVector x = IntVector.fromMemorySegment(I, in, inOffset + Float.BYTES * i, LITTLE_ENDIAN);
      FloatVector a = x.and(MAGNITUDE).min(cap).reinterpretAsFloats();
      FloatVector q = a.fma(reciprocal, a.mul(rest));
      q = q.fma(minusScale, a).fma(reciprocal, q);
      IntVector negative = x.lanewise(ASHR, 31);
      q.add(TO_INTEGER)
          .reinterpretAsInts()
          .lanewise(XOR, negative)
          .sub(negative)
          .convertShape(I2B, B_OF_I, 0)
          .reinterpretAsBytes()
          .intoMemorySegment(out, outOffset + i, LITTLE_ENDIAN);
    }
    return i;
  }

  @Override
  public void encodeE4m3FromBf16(
      MemorySegment in,
      long inOffset,
      MemorySegment scales,
      long scalesOffset,
      long block,
      MemorySegment out,
      long outOffset,
      long count) {
    if (!isOffHeap(in, out)) {
      SCALAR.encodeE4m3FromBf16(in, inOffset, scales, scalesOffset, block, out, outOffset, count);
      return;
    }
    for (long start = 0, b = 0; start < count; b++) {
      long n = Math.min(block, count - start);
      long inAt = inOffset + Short.BYTES * start;
      long scaleAt = scalesOffset + Float.BYTES * b;
      long outAt = outOffset + start;
      long done = encodeE4m3FromBf16Run(in, inAt, scales.get(F32, scaleAt), out, outAt, n);
      if (done < n) {
        inAt += Short.BYTES * done;
        outAt += done;
        SCALAR.encodeE4m3FromBf16(in, inAt, scales, scaleAt, n, out, outAt, n - done);
      }
      start += n;
    }
  }

  /// As `encodeE4m3Run`, on pairs.
  private static long encodeE4m3FromBf16Run(
      MemorySegment inMemory,
      long inOffset,
      float scale,
      MemorySegment outMemory,
      long outOffset,
      long n) {
    MemorySegment in = OFF_HEAP.cast(inMemory);
    MemorySegment out = OFF_HEAP.cast(outMemory);
    if (!isOrdinary(scale)) {
      return 0;
    }
    float hi = 1 / scale;
    FloatVector reciprocal = FloatVector.broadcast(F, hi);
    FloatVector rest = FloatVector.broadcast(F, (float) (1.0 / scale - hi));
    // Rounded up to a BF16 the cap stays below 464 scales, so it gives the largest code.
    short cap = (short) ((Float.floatToRawIntBits(Scalars.E4M3_MAX * scale) >>> 16) + 1);
    long i = 0;
    for (; i <= n - S.length(); i += S.length()) {
      ShortVector x =
          ShortVector.fromMemorySegment(S, in, inOffset + Short.BYTES * i, LITTLE_ENDIAN);
      IntVector pair = x.lanewise(AND, (short) 0x7FFF).min(cap).reinterpretAsInts();
      FloatVector even = pair.lanewise(LSHL, 16).reinterpretAsFloats();
      FloatVector odd = pair.and(UPPER_HALF).reinterpretAsFloats();
      even = even.fma(reciprocal, even.mul(rest));
      odd = odd.fma(reciprocal, odd.mul(rest));
      IntVector me =
          even.reinterpretAsInts().and(EXPONENT).max(E4M3_LEAST_EXPONENT).add(E4M3_ROUNDING);
      IntVector mo =
          odd.reinterpretAsInts().and(EXPONENT).max(E4M3_LEAST_EXPONENT).add(E4M3_ROUNDING);
      IntVector te = even.add(me.reinterpretAsFloats()).reinterpretAsInts();
      IntVector to = odd.add(mo.reinterpretAsFloats()).reinterpretAsInts();
      te = te.sub(me).add(me.lanewise(LSHR, 20));
      to = to.sub(mo).add(mo.lanewise(LSHR, 20));
      te.add(to.lanewise(LSHL, 16))
          .sub(E4M3_EXCESS * 0x10001)
          .or(x.reinterpretAsInts().and(0x80008000).lanewise(LSHR, 8))
          .reinterpretAsShorts()
          .convertShape(S2B, B_OF_S, 0)
          .reinterpretAsBytes()
          .intoMemorySegment(out, outOffset + i, LITTLE_ENDIAN);
    }
    return i;
  }

  @Override
  public void encodeInt8FromBf16(
      MemorySegment in,
      long inOffset,
      MemorySegment scales,
      long scalesOffset,
      long block,
      MemorySegment out,
      long outOffset,
      long count) {
    if (!isOffHeap(in, out)) {
      SCALAR.encodeInt8FromBf16(in, inOffset, scales, scalesOffset, block, out, outOffset, count);
      return;
    }
    for (long start = 0, b = 0; start < count; b++) {
      long n = Math.min(block, count - start);
      long inAt = inOffset + Short.BYTES * start;
      long scaleAt = scalesOffset + Float.BYTES * b;
      long outAt = outOffset + start;
      long done = encodeInt8FromBf16Run(in, inAt, scales.get(F32, scaleAt), out, outAt, n);
      if (done < n) {
        inAt += Short.BYTES * done;
        outAt += done;
        SCALAR.encodeInt8FromBf16(in, inAt, scales, scaleAt, n, out, outAt, n - done);
      }
      start += n;
    }
  }

  private static long encodeInt8FromBf16Run(
      MemorySegment inMemory,
      long inOffset,
      float scale,
      MemorySegment outMemory,
      long outOffset,
      long n) {
    MemorySegment in = OFF_HEAP.cast(inMemory);
    MemorySegment out = OFF_HEAP.cast(outMemory);
    if (!isOrdinary(scale)) {
      return 0;
    }
    float hi = 1 / scale;
    FloatVector reciprocal = FloatVector.broadcast(F, hi);
    FloatVector rest = FloatVector.broadcast(F, (float) (1.0 / scale - hi));
    int cap = Float.floatToRawIntBits(Scalars.INT8_MAX * scale);
    long i = 0;
    for (; i <= n - S.length(); i += S.length()) {
      ShortVector x =
          ShortVector.fromMemorySegment(S, in, inOffset + Short.BYTES * i, LITTLE_ENDIAN);
      IntVector pair = x.lanewise(AND, (short) 0x7FFF).reinterpretAsInts();
      FloatVector even = pair.lanewise(LSHL, 16).min(cap).reinterpretAsFloats();
      FloatVector odd = pair.and(UPPER_HALF).min(cap).reinterpretAsFloats();
      even = even.fma(reciprocal, even.mul(rest)).add(TO_INTEGER);
      odd = odd.fma(reciprocal, odd.mul(rest)).add(TO_INTEGER);
      ShortVector negative = x.lanewise(ASHR, 15);
      even.reinterpretAsInts()
          .and(0xFFFF)
          .or(odd.reinterpretAsInts().lanewise(LSHL, 16))
          .reinterpretAsShorts()
          .lanewise(XOR, negative)
          .sub(negative)
          .convertShape(S2B, B_OF_S, 0)
          .reinterpretAsBytes()
          .intoMemorySegment(out, outOffset + i, LITTLE_ENDIAN);
    }
    return i;
  }

  @Override
  public void decodeInt4(
      MemorySegment codes,
      long codesOffset,
      MemorySegment scales,
      long scalesOffset,
      long block,
      MemorySegment out,
      long outOffset,
      long count) {
    if (!isOffHeap(codes, out)) {
      SCALAR.decodeInt4(codes, codesOffset, scales, scalesOffset, block, out, outOffset, count);
      return;
    }
    for (long start = 0, b = 0; start < count; b++) {
      long n = Math.min(block, count - start);
      long inAt = codesOffset + start / 2;
      long scaleAt = scalesOffset + Float.BYTES * b;
      long outAt = outOffset + Float.BYTES * start;
      long done = VectorInt4.decode(codes, inAt, scales.get(F32, scaleAt), out, outAt, n);
      if (done < n) {
        inAt += done / 2;
        outAt += Float.BYTES * done;
        SCALAR.decodeInt4(codes, inAt, scales, scaleAt, n, out, outAt, n - done);
      }
      start += n;
    }
  }

  @Override
  public void encodeInt4(
      MemorySegment in,
      long inOffset,
      MemorySegment scales,
      long scalesOffset,
      long block,
      MemorySegment out,
      long outOffset,
      long count) {
    if (!isOffHeap(in, out)) {
      SCALAR.encodeInt4(in, inOffset, scales, scalesOffset, block, out, outOffset, count);
      return;
    }
    for (long start = 0, b = 0; start < count; b++) {
      long n = Math.min(block, count - start);
      long inAt = inOffset + Float.BYTES * start;
      long scaleAt = scalesOffset + Float.BYTES * b;
      long outAt = outOffset + start / 2;
      long done = VectorInt4.encode(in, inAt, scales.get(F32, scaleAt), out, outAt, n);
      if (done < n) {
        inAt += Float.BYTES * done;
        outAt += done / 2;
        SCALAR.encodeInt4(in, inAt, scales, scaleAt, n, out, outAt, n - done);
      }
      start += n;
    }
  }

  @Override
  public void searchInt4(
      MemorySegment in,
      long inOffset,
      long block,
      MemorySegment scales,
      long scalesOffset,
      long count) {
    if (!isOffHeap(in, scales)) {
      SCALAR.searchInt4(in, inOffset, block, scales, scalesOffset, count);
      return;
    }
    for (long start = 0, b = 0; start < count; start += block, b++) {
      long inAt = inOffset + Float.BYTES * start;
      long scaleAt = scalesOffset + Float.BYTES * b;
      long n = Math.min(block, count - start);
      scales.set(F32, scaleAt, VectorInt4.search(in, inAt, n, scales.get(F32, scaleAt)));
    }
  }
}
