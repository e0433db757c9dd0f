package smelt.formats.ggml;

import static smelt.formats.ggml.Layouts.U16;
import static smelt.formats.ggml.Layouts.U8;

import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;
import smelt.formats.gguf.GgmlType;

/// The same bytes as [ScalarBlocks], by vectors of the processor's width: groups of K-quants lie
/// across the lanes ([LaneFit]), a block of 32 along them, where only its extremes are reduced.
final class VectorBlocks extends BlockKernels {

  private static final VectorSpecies<Float> F = FloatVector.SPECIES_PREFERRED;
  private static final VectorSpecies<Integer> I = IntVector.SPECIES_PREFERRED;
  private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;
  private static final int LANES = F.length();
  private static final ScalarBlocks SCALAR = new ScalarBlocks();
  private static final int BLOCK = RoundedBlock.ELEMENTS;
  private static final int HALF = BLOCK / 2;
  private static final int LOW_BITS = 0x7FFFFF;
  private static final int ZERO = 0x400000;
  private static final int MAGNITUDE = 0x7FFFFFFF;

  @Override
  public String name() {
    return "vector-" + F.vectorBitSize();
  }

  @Override
  int encodeRounded(
      GgmlType type,
      MemorySegment in,
      long inOffset,
      MemorySegment out,
      long outOffset,
      long blocks) {
    return switch (type) {
      case Q8_0 -> encodeBytes(in, inOffset, out, outOffset, blocks);
      case Q4_0 -> encodeNibbles(in, inOffset, out, outOffset, blocks);
      default -> SCALAR.encodeRounded(type, in, inOffset, out, outOffset, blocks);
    };
  }

  private static int encodeBytes(
      MemorySegment in, long inOffset, MemorySegment out, long outOffset, long blocks) {
    int[] codes = new int[BLOCK];
    int largest = 0;
    long to = outOffset;
    for (long block = 0; block < blocks; block++) {
      long from = inOffset + block * BLOCK * Float.BYTES;
      int bits = largestBits(in, from);
      largest = Math.max(largest, bits);
      float d = Float.intBitsToFloat(bits) / 127f;
      out.set(U16, to, Float.floatToFloat16(d));
      roundAway(in, from, RoundedBlock.reciprocal(d), codes);
      for (int i = 0; i < BLOCK; i++) {
        out.set(U8, to + Short.BYTES + i, (byte) codes[i]);
      }
      to += Short.BYTES + BLOCK;
    }
    return largest;
  }

  private static int largestBits(MemorySegment in, long from) {
    IntVector largest = IntVector.zero(I);
    for (int i = 0; i < BLOCK; i += LANES) {
      IntVector bits =
          FloatVector.fromMemorySegment(F, in, from + (long) i * Float.BYTES, ORDER)
              .reinterpretAsInts();
      largest = largest.max(bits.and(MAGNITUDE));
    }
    return largest.reduceLanes(VectorOperators.MAX);
  }

  private static void roundAway(MemorySegment in, long from, float factor, int[] codes) {
    for (int i = 0; i < BLOCK; i += LANES) {
      FloatVector value =
          FloatVector.fromMemorySegment(F, in, from + (long) i * Float.BYTES, ORDER).mul(factor);
      IntVector signs = value.reinterpretAsInts().and(~MAGNITUDE);
      FloatVector half = signs.or(Float.floatToRawIntBits(Round.ALMOST_HALF)).reinterpretAsFloats();
      ((IntVector) value.add(half).convertShape(VectorOperators.F2I, I, 0)).intoArray(codes, i);
    }
  }

  private static int encodeNibbles(
      MemorySegment in, long inOffset, MemorySegment out, long outOffset, long blocks) {
    int[] codes = new int[BLOCK];
    int largest = 0;
    long to = outOffset;
    for (long block = 0; block < blocks; block++) {
      long from = inOffset + block * BLOCK * Float.BYTES;
      int bits = largestBits(in, from);
      largest = Math.max(largest, bits);
      float d = extreme(in, from, bits) / -8;
      float reciprocal = RoundedBlock.reciprocal(d);
      out.set(U16, to, Float.floatToFloat16(d));
      cut(in, from, reciprocal, reciprocal == 0 && d != 0 ? 0 : 8.5f, codes);
      for (int i = 0; i < HALF; i++) {
        out.set(U8, to + Short.BYTES + i, (byte) (codes[i] & 15 | codes[i + HALF] << 4));
      }
      to += Short.BYTES + HALF;
    }
    return largest;
  }

  /// The first element of this magnitude; 0 without a sign for zeros.
  private static float extreme(MemorySegment in, long from, int magnitude) {
    if (magnitude == 0) {
      return 0;
    }
    for (int i = 0; i < BLOCK; i += LANES) {
      IntVector bits =
          FloatVector.fromMemorySegment(F, in, from + (long) i * Float.BYTES, ORDER)
              .reinterpretAsInts();
      VectorMask<Integer> same = bits.and(MAGNITUDE).compare(VectorOperators.EQ, magnitude);
      if (same.anyTrue()) {
        return in.get(Layouts.F32, from + (long) Float.BYTES * (i + same.firstTrue()));
      }
    }
    throw new AssertionError("no element of the largest magnitude");
  }

  private static void cut(MemorySegment in, long from, float factor, float half, int[] codes) {
    for (int i = 0; i < BLOCK; i += LANES) {
      FloatVector value =
          FloatVector.fromMemorySegment(F, in, from + (long) i * Float.BYTES, ORDER)
              .mul(factor)
              .add(half);
      ((IntVector) value.convertShape(VectorOperators.F2I, I, 0)).min(15).intoArray(codes, i);
    }
  }

  @Override
  void fit(
      AffineFit fit, int size, float[] x, float[] w, byte[] codes, float[] mins, float[] scales) {
    LaneFit lanes = new LaneFit(size);
    int groups = x.length / size;
    for (int group = 0; group < groups; group += LANES) {
      int count = Math.min(LANES, groups - group);
      lanes.affine(fit, x, w, group, count, codes, mins, scales);
    }
  }

  @Override
  void fit(SymmetricFit fit, int size, float[] x, float[] w, byte[] codes, float[] scales) {
    LaneFit lanes = new LaneFit(size);
    int groups = x.length / size;
    for (int group = 0; group < groups; group += LANES) {
      int count = Math.min(LANES, groups - group);
      lanes.symmetric(fit, x, w, group, count, codes, scales);
    }
  }

  @Override
  void round(
      float[] x,
      int from,
      int count,
      float add,
      float scale,
      int least,
      int largest,
      int middle,
      byte[] codes) {
    int whole = F.loopBound(count);
    int[] rounded = new int[LANES];
    for (int i = from; i < from + whole; i += LANES) {
      IntVector bits =
          FloatVector.fromArray(F, x, i)
              .add(add)
              .div(scale)
              .add(Round.TO_INTEGER)
              .reinterpretAsInts();
      bits.and(LOW_BITS).sub(ZERO).min(largest).max(least).add(middle).intoArray(rounded, 0);
      for (int lane = 0; lane < LANES; lane++) {
        codes[i + lane] = (byte) rounded[lane];
      }
    }
    SCALAR.round(x, from + whole, count - whole, add, scale, least, largest, middle, codes);
  }
}
