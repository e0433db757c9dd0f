package smelt.calibrate.math;

import static jdk.incubator.vector.VectorOperators.GE;
import static jdk.incubator.vector.VectorOperators.GT;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.LT;
import static jdk.incubator.vector.VectorOperators.MAX;
import static smelt.calibrate.math.Matrix.F32;

import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/// The math kernels with the Vector API, for any vector width.
///
/// **No method takes or returns a vector**: when the JIT stops inlining, such a method boxes every
/// vector and the kernel becomes many times slower, silently. Bodies are written out instead.
///
/// **No sum is left to `reduceLanes`**: its order differs between interpreted and compiled code, so
/// the same input would give different numbers before and after the JIT. Lanes are added one by
/// one.
///
/// Segments are expected off the heap, where an arena has them; on the heap the scalar code does
/// the work, as it does what is left at the end of a run. Only `multiplyGroups` reads arrays.
///
/// **Panels.** A block of `ROWS` rows by one panel is a sum of outer products: for each `i` one or
/// two vectors of the panel are multiplied by one number of each row. Each sum is one chain of
/// fused multiply-adds in the order of `i`, so with `u = 2^-24` a chain of `n` is off by at most `n
/// u / (1
/// - n u)` of the sum of magnitudes, and is the same for every vector width.
///
/// **Exponentials.** `exp(x) = 2^n exp(r)` with `n` the integer nearest to `x / ln 2` and `r = x -
/// n ln 2`, `|r| <= 0.347`, subtracted in two parts; `exp(r)` is its Taylor series to `r^7`. What
/// is left out is below `r^8 / 8! * 1.05 = 5.5e-9`; the last of the fused steps rounds by `u`,
/// those before it by `0.54 u` and the subtraction by `0.36 u`, all relative to at least 0.7.
/// Together less than `2^-22` of the result, for `x` from `LEAST_EXP` to `-LEAST_EXP`. Below, the
/// result is 0, above it is that of the bound. NaN stays NaN.
final class VectorMath implements MathKernels {

  private static final ScalarMath SCALAR = new ScalarMath();

  private static final VectorSpecies<Float> F = FloatVector.SPECIES_PREFERRED;
  private static final int LANES = F.length();
  private static final long BYTES = F.vectorByteSize();
  private static final long WIDE_BYTES = 2 * BYTES;
  private static final ByteOrder NATIVE = ByteOrder.nativeOrder();

  /// Rows that are multiplied with a panel of two vectors at once. Their twelve sums, two vectors
  /// and one factor are as many registers as processors with 256-bit vectors have. With more rows
  /// the method would also grow beyond what C1, the first of the two JIT compilers, can compile
  /// ("out of virtual registers"), and might then never reach C2.
  static final int ROWS = 6;

  /// Measured with 256-bit vectors and their 16 registers; 512-bit ones have 32, which `ROWS` rows
  /// from memory fill better.
  private static final int MOST_LANES_FOR_GROUPS = 8;

  /// The class of off-heap memory. A cast to it at the head of a kernel tells the JIT what it would
  /// else take from a type profile that it shares with all users of memory segments in the program;
  /// once some of those are on the heap every access doubles in cost.
  private static final Class<? extends MemorySegment> OFF_HEAP = MemorySegment.NULL.getClass();

  /// Below it `exp` is subnormal.
  private static final float LEAST_EXP = -87.3f;

  private static final float LOG2_E = (float) 1.4426950408889634;

  /// Adding it rounds to an integer, half to even, which is then in the low bits of the sum.
  private static final float TO_INTEGER = 0x1.8p23f;

  /// The upper bits of ln 2, so few that times `n` is exact, and the rest.
  private static final float LN2_HIGH = 0x1.62e4p-1f;

  private static final float LN2_LOW = (float) (0.6931471805599453 - 0x1.62e4p-1);

  private static final float C2 = 1f / 2;
  private static final float C3 = 1f / 6;
  private static final float C4 = 1f / 24;
  private static final float C5 = 1f / 120;
  private static final float C6 = 1f / 720;
  private static final float C7 = 1f / 5040;

  private static final int EXPONENT_BIAS = 127;
  private static final int FRACTION_BITS = 23;

  /// 0, 1, 2 and so on: the place of a lane.
  private static final float[] PLACES = new float[LANES];

  /// -1 for the first of each pair, 1 for the second.
  private static final float[] PAIR_SIGNS = new float[LANES];

  static {
    for (int i = 0; i < LANES; i++) {
      PLACES[i] = i;
      PAIR_SIGNS[i] = i % 2 == 0 ? -1 : 1;
    }
  }

  /// Exchanges the two of each pair.
  private static final VectorShuffle<Float> SWAP = VectorShuffle.fromOp(F, i -> i ^ 1);

  /// Each of the first, and of the last half of the lanes twice.
  private static final VectorShuffle<Float> TWICE_LOW = VectorShuffle.fromOp(F, i -> i / 2);

  private static final VectorShuffle<Float> TWICE_HIGH =
      VectorShuffle.fromOp(F, i -> (i + LANES) / 2);

  private static boolean isOffHeap(MemorySegment a, MemorySegment b, MemorySegment c) {
    return OFF_HEAP.isInstance(a) && OFF_HEAP.isInstance(b) && OFF_HEAP.isInstance(c);
  }

  @Override
  public String name() {
    return "vector-" + F.vectorBitSize();
  }

  @Override
  public boolean chainsProducts() {
    return true;
  }

  @Override
  public int panelWidth() {
    return 2 * LANES;
  }

  @Override
  public int narrowWidth() {
    return LANES;
  }

  /// Numbers go one by one, but in an order in which few lines of memory are in use: four rows
  /// together of whichever matrix has its rows farther apart. Rows that are a power of two apart
  /// would push each other out of the first cache.
  @Override
  public void transpose(
      MemorySegment inMemory,
      long inOffset,
      long inStride,
      int rows,
      int cols,
      MemorySegment outMemory,
      long outOffset,
      long outStride) {
    int r = 0;
    int c = 0;
    if (isOffHeap(inMemory, outMemory, outMemory)) {
      MemorySegment in = OFF_HEAP.cast(inMemory);
      MemorySegment out = OFF_HEAP.cast(outMemory);
      if (outStride > inStride) {
        for (; c <= cols - 4; c += 4) {
          long from = inOffset + 4L * c;
          transposeFourColumns(in, from, inStride, rows, out, outOffset + outStride * c, outStride);
        }
      } else {
        for (; r <= rows - 4; r += 4) {
          long from = inOffset + inStride * r;
          transposeFourRows(in, from, inStride, cols, out, outOffset + 4L * r, outStride);
        }
      }
    }
    long from = inOffset + inStride * r + 4L * c;
    long to = outOffset + 4L * r + outStride * c;
    SCALAR.transpose(inMemory, from, inStride, rows - r, cols - c, outMemory, to, outStride);
  }

  private static void transposeFourRows(
      MemorySegment inMemory,
      long row0,
      long inStride,
      int cols,
      MemorySegment outMemory,
      long outOffset,
      long outStride) {
    MemorySegment in = OFF_HEAP.cast(inMemory);
    MemorySegment out = OFF_HEAP.cast(outMemory);
    long row1 = row0 + inStride;
    long row2 = row1 + inStride;
    long row3 = row2 + inStride;
    long to = outOffset;
    for (int c = 0; c < cols; c++) {
      out.set(F32, to, in.get(F32, row0 + 4L * c));
      out.set(F32, to + 4, in.get(F32, row1 + 4L * c));
      out.set(F32, to + 8, in.get(F32, row2 + 4L * c));
      out.set(F32, to + 12, in.get(F32, row3 + 4L * c));
      to += outStride;
    }
  }

  private static void transposeFourColumns(
      MemorySegment inMemory,
      long inOffset,
      long inStride,
      int rows,
      MemorySegment outMemory,
      long row0,
      long outStride) {
    MemorySegment in = OFF_HEAP.cast(inMemory);
    MemorySegment out = OFF_HEAP.cast(outMemory);
    long row1 = row0 + outStride;
    long row2 = row1 + outStride;
    long row3 = row2 + outStride;
    long from = inOffset;
    for (int r = 0; r < rows; r++) {
      out.set(F32, row0 + 4L * r, in.get(F32, from));
      out.set(F32, row1 + 4L * r, in.get(F32, from + 4));
      out.set(F32, row2 + 4L * r, in.get(F32, from + 8));
      out.set(F32, row3 + 4L * r, in.get(F32, from + 12));
      from += inStride;
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
    if (!isOffHeap(rows, panel, out)) {
      SCALAR.multiplyPanel(
          rows, rowsOffset, rowStride, rowCount, panel, panelOffset, width, count, out, outOffset);
      return;
    }
    int r = 0;
    long at = rowsOffset;
    long to = outOffset;
    for (; r <= rowCount - ROWS; r += ROWS) {
      if (width == LANES) {
        panel6x1(rows, at, rowStride, panel, panelOffset, count, out, to);
      } else if (rowStride == ROW_STRIDE) {
        panel6x2Close(rows, at, panel, panelOffset, count, out, to);
      } else {
        panel6x2(rows, at, rowStride, panel, panelOffset, count, out, to);
      }
      at += ROWS * rowStride;
      to += (long) ROWS * width * Float.BYTES;
    }
    for (; r < rowCount; r++) {
      if (width == LANES) {
        panel1x1(rows, at, panel, panelOffset, count, out, to);
      } else {
        panel1x2(rows, at, panel, panelOffset, count, out, to);
      }
      at += rowStride;
      to += (long) width * Float.BYTES;
    }
  }

  /// Rows that are `ROW_STRIDE` apart. **The loop counts to `!=`, which the JIT does not take for a
  /// counted loop**: in one it turns each check of a long offset into some twenty instructions,
  /// with the hope of moving them out, and for eight accesses does not move them. So each check is
  /// a comparison and a branch, and with one distance known to the JIT six rows need one register.
  /// On 256 bits that makes 1.8 times the speed.
  private static void panel6x2Close(
      MemorySegment rowsMemory,
      long rowsOffset,
      MemorySegment panelMemory,
      long panelOffset,
      int count,
      MemorySegment outMemory,
      long outOffset) {
    MemorySegment rows = OFF_HEAP.cast(rowsMemory);
    MemorySegment panel = OFF_HEAP.cast(panelMemory);
    MemorySegment out = OFF_HEAP.cast(outMemory);
    FloatVector s0a = FloatVector.fromMemorySegment(F, out, outOffset, NATIVE);
    FloatVector s0b = FloatVector.fromMemorySegment(F, out, outOffset + BYTES, NATIVE);
    FloatVector s1a = FloatVector.fromMemorySegment(F, out, outOffset + 2 * BYTES, NATIVE);
    FloatVector s1b = FloatVector.fromMemorySegment(F, out, outOffset + 3 * BYTES, NATIVE);
    FloatVector s2a = FloatVector.fromMemorySegment(F, out, outOffset + 4 * BYTES, NATIVE);
    FloatVector s2b = FloatVector.fromMemorySegment(F, out, outOffset + 5 * BYTES, NATIVE);
    FloatVector s3a = FloatVector.fromMemorySegment(F, out, outOffset + 6 * BYTES, NATIVE);
    FloatVector s3b = FloatVector.fromMemorySegment(F, out, outOffset + 7 * BYTES, NATIVE);
    FloatVector s4a = FloatVector.fromMemorySegment(F, out, outOffset + 8 * BYTES, NATIVE);
    FloatVector s4b = FloatVector.fromMemorySegment(F, out, outOffset + 9 * BYTES, NATIVE);
    FloatVector s5a = FloatVector.fromMemorySegment(F, out, outOffset + 10 * BYTES, NATIVE);
    FloatVector s5b = FloatVector.fromMemorySegment(F, out, outOffset + 11 * BYTES, NATIVE);
    long row = rowsOffset;
    long end = panelOffset + WIDE_BYTES * count;
    for (long at = panelOffset; at != end; at += WIDE_BYTES) {
      FloatVector a = FloatVector.fromMemorySegment(F, panel, at, NATIVE);
      FloatVector b = FloatVector.fromMemorySegment(F, panel, at + BYTES, NATIVE);
      FloatVector x = FloatVector.broadcast(F, rows.get(F32, row));
      s0a = x.fma(a, s0a);
      s0b = x.fma(b, s0b);
      x = FloatVector.broadcast(F, rows.get(F32, row + ROW_STRIDE));
      s1a = x.fma(a, s1a);
      s1b = x.fma(b, s1b);
      x = FloatVector.broadcast(F, rows.get(F32, row + 2 * ROW_STRIDE));
      s2a = x.fma(a, s2a);
      s2b = x.fma(b, s2b);
      x = FloatVector.broadcast(F, rows.get(F32, row + 3 * ROW_STRIDE));
      s3a = x.fma(a, s3a);
      s3b = x.fma(b, s3b);
      x = FloatVector.broadcast(F, rows.get(F32, row + 4 * ROW_STRIDE));
      s4a = x.fma(a, s4a);
      s4b = x.fma(b, s4b);
      x = FloatVector.broadcast(F, rows.get(F32, row + 5 * ROW_STRIDE));
      s5a = x.fma(a, s5a);
      s5b = x.fma(b, s5b);
      row += Float.BYTES;
    }
    s0a.intoMemorySegment(out, outOffset, NATIVE);
    s0b.intoMemorySegment(out, outOffset + BYTES, NATIVE);
    s1a.intoMemorySegment(out, outOffset + 2 * BYTES, NATIVE);
    s1b.intoMemorySegment(out, outOffset + 3 * BYTES, NATIVE);
    s2a.intoMemorySegment(out, outOffset + 4 * BYTES, NATIVE);
    s2b.intoMemorySegment(out, outOffset + 5 * BYTES, NATIVE);
    s3a.intoMemorySegment(out, outOffset + 6 * BYTES, NATIVE);
    s3b.intoMemorySegment(out, outOffset + 7 * BYTES, NATIVE);
    s4a.intoMemorySegment(out, outOffset + 8 * BYTES, NATIVE);
    s4b.intoMemorySegment(out, outOffset + 9 * BYTES, NATIVE);
    s5a.intoMemorySegment(out, outOffset + 10 * BYTES, NATIVE);
    s5b.intoMemorySegment(out, outOffset + 11 * BYTES, NATIVE);
  }

  /// As `panel6x2Close` for rows that are any distance apart, for which registers do not suffice.
  private static void panel6x2(
      MemorySegment rowsMemory,
      long rowsOffset,
      long rowStride,
      MemorySegment panelMemory,
      long panelOffset,
      int count,
      MemorySegment outMemory,
      long outOffset) {
    MemorySegment rows = OFF_HEAP.cast(rowsMemory);
    MemorySegment panel = OFF_HEAP.cast(panelMemory);
    MemorySegment out = OFF_HEAP.cast(outMemory);
    long twoRows = 2 * rowStride;
    long threeRows = 3 * rowStride;
    long fourRows = 4 * rowStride;
    long fiveRows = 5 * rowStride;
    FloatVector s0a = FloatVector.fromMemorySegment(F, out, outOffset, NATIVE);
    FloatVector s0b = FloatVector.fromMemorySegment(F, out, outOffset + BYTES, NATIVE);
    FloatVector s1a = FloatVector.fromMemorySegment(F, out, outOffset + 2 * BYTES, NATIVE);
    FloatVector s1b = FloatVector.fromMemorySegment(F, out, outOffset + 3 * BYTES, NATIVE);
    FloatVector s2a = FloatVector.fromMemorySegment(F, out, outOffset + 4 * BYTES, NATIVE);
    FloatVector s2b = FloatVector.fromMemorySegment(F, out, outOffset + 5 * BYTES, NATIVE);
    FloatVector s3a = FloatVector.fromMemorySegment(F, out, outOffset + 6 * BYTES, NATIVE);
    FloatVector s3b = FloatVector.fromMemorySegment(F, out, outOffset + 7 * BYTES, NATIVE);
    FloatVector s4a = FloatVector.fromMemorySegment(F, out, outOffset + 8 * BYTES, NATIVE);
    FloatVector s4b = FloatVector.fromMemorySegment(F, out, outOffset + 9 * BYTES, NATIVE);
    FloatVector s5a = FloatVector.fromMemorySegment(F, out, outOffset + 10 * BYTES, NATIVE);
    FloatVector s5b = FloatVector.fromMemorySegment(F, out, outOffset + 11 * BYTES, NATIVE);
    long row = rowsOffset;
    long end = panelOffset + WIDE_BYTES * count;
    for (long at = panelOffset; at != end; at += WIDE_BYTES) {
      FloatVector a = FloatVector.fromMemorySegment(F, panel, at, NATIVE);
      FloatVector b = FloatVector.fromMemorySegment(F, panel, at + BYTES, NATIVE);
      FloatVector x = FloatVector.broadcast(F, rows.get(F32, row));
      s0a = x.fma(a, s0a);
      s0b = x.fma(b, s0b);
      x = FloatVector.broadcast(F, rows.get(F32, row + rowStride));
      s1a = x.fma(a, s1a);
      s1b = x.fma(b, s1b);
      x = FloatVector.broadcast(F, rows.get(F32, row + twoRows));
      s2a = x.fma(a, s2a);
      s2b = x.fma(b, s2b);
      x = FloatVector.broadcast(F, rows.get(F32, row + threeRows));
      s3a = x.fma(a, s3a);
      s3b = x.fma(b, s3b);
      x = FloatVector.broadcast(F, rows.get(F32, row + fourRows));
      s4a = x.fma(a, s4a);
      s4b = x.fma(b, s4b);
      x = FloatVector.broadcast(F, rows.get(F32, row + fiveRows));
      s5a = x.fma(a, s5a);
      s5b = x.fma(b, s5b);
      row += Float.BYTES;
    }
    s0a.intoMemorySegment(out, outOffset, NATIVE);
    s0b.intoMemorySegment(out, outOffset + BYTES, NATIVE);
    s1a.intoMemorySegment(out, outOffset + 2 * BYTES, NATIVE);
    s1b.intoMemorySegment(out, outOffset + 3 * BYTES, NATIVE);
    s2a.intoMemorySegment(out, outOffset + 4 * BYTES, NATIVE);
    s2b.intoMemorySegment(out, outOffset + 5 * BYTES, NATIVE);
    s3a.intoMemorySegment(out, outOffset + 6 * BYTES, NATIVE);
    s3b.intoMemorySegment(out, outOffset + 7 * BYTES, NATIVE);
    s4a.intoMemorySegment(out, outOffset + 8 * BYTES, NATIVE);
    s4b.intoMemorySegment(out, outOffset + 9 * BYTES, NATIVE);
    s5a.intoMemorySegment(out, outOffset + 10 * BYTES, NATIVE);
    s5b.intoMemorySegment(out, outOffset + 11 * BYTES, NATIVE);
  }

  @Override
  public boolean prefersGroups() {
    return LANES <= MOST_LANES_FOR_GROUPS;
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
    if (!OFF_HEAP.isInstance(out)) {
      SCALAR.multiplyGroups(rows, groups, panel, width, count, out, outOffset);
      return;
    }
    for (int g = 0; g < groups; g++) {
      long to = outOffset + WIDE_BYTES * GROUP_ROWS * g;
      group4x2(rows, g * count * GROUP_ROWS, panel, count, out, to);
    }
  }

  /// The JIT moves checks of an array's index out of a counted loop. It also moves all loads of a
  /// step to its begin, so that registers must hold them beside the sums: with 16 registers eight
  /// sums, two vectors and four factors.
  private static void group4x2(
      float[] rows, int first, float[] panel, int count, MemorySegment outMemory, long outOffset) {
    MemorySegment out = OFF_HEAP.cast(outMemory);
    FloatVector s0a = FloatVector.fromMemorySegment(F, out, outOffset, NATIVE);
    FloatVector s0b = FloatVector.fromMemorySegment(F, out, outOffset + BYTES, NATIVE);
    FloatVector s1a = FloatVector.fromMemorySegment(F, out, outOffset + 2 * BYTES, NATIVE);
    FloatVector s1b = FloatVector.fromMemorySegment(F, out, outOffset + 3 * BYTES, NATIVE);
    FloatVector s2a = FloatVector.fromMemorySegment(F, out, outOffset + 4 * BYTES, NATIVE);
    FloatVector s2b = FloatVector.fromMemorySegment(F, out, outOffset + 5 * BYTES, NATIVE);
    FloatVector s3a = FloatVector.fromMemorySegment(F, out, outOffset + 6 * BYTES, NATIVE);
    FloatVector s3b = FloatVector.fromMemorySegment(F, out, outOffset + 7 * BYTES, NATIVE);
    for (int i = 0; i < count; i++) {
      int row = first + GROUP_ROWS * i;
      int at = 2 * LANES * i;
      FloatVector a = FloatVector.fromArray(F, panel, at);
      FloatVector b = FloatVector.fromArray(F, panel, at + LANES);
      FloatVector x = FloatVector.broadcast(F, rows[row]);
      s0a = x.fma(a, s0a);
      s0b = x.fma(b, s0b);
      x = FloatVector.broadcast(F, rows[row + 1]);
      s1a = x.fma(a, s1a);
      s1b = x.fma(b, s1b);
      x = FloatVector.broadcast(F, rows[row + 2]);
      s2a = x.fma(a, s2a);
      s2b = x.fma(b, s2b);
      x = FloatVector.broadcast(F, rows[row + 3]);
      s3a = x.fma(a, s3a);
      s3b = x.fma(b, s3b);
    }
    s0a.intoMemorySegment(out, outOffset, NATIVE);
    s0b.intoMemorySegment(out, outOffset + BYTES, NATIVE);
    s1a.intoMemorySegment(out, outOffset + 2 * BYTES, NATIVE);
    s1b.intoMemorySegment(out, outOffset + 3 * BYTES, NATIVE);
    s2a.intoMemorySegment(out, outOffset + 4 * BYTES, NATIVE);
    s2b.intoMemorySegment(out, outOffset + 5 * BYTES, NATIVE);
    s3a.intoMemorySegment(out, outOffset + 6 * BYTES, NATIVE);
    s3b.intoMemorySegment(out, outOffset + 7 * BYTES, NATIVE);
  }

  private static void panel6x1(
      MemorySegment rowsMemory,
      long rowsOffset,
      long rowStride,
      MemorySegment panelMemory,
      long panelOffset,
      int count,
      MemorySegment outMemory,
      long outOffset) {
    MemorySegment rows = OFF_HEAP.cast(rowsMemory);
    MemorySegment panel = OFF_HEAP.cast(panelMemory);
    MemorySegment out = OFF_HEAP.cast(outMemory);
    long row1 = rowsOffset + rowStride;
    long row2 = row1 + rowStride;
    long row3 = row2 + rowStride;
    long row4 = row3 + rowStride;
    long row5 = row4 + rowStride;
    FloatVector s0 = FloatVector.fromMemorySegment(F, out, outOffset, NATIVE);
    FloatVector s1 = FloatVector.fromMemorySegment(F, out, outOffset + BYTES, NATIVE);
    FloatVector s2 = FloatVector.fromMemorySegment(F, out, outOffset + 2 * BYTES, NATIVE);
    FloatVector s3 = FloatVector.fromMemorySegment(F, out, outOffset + 3 * BYTES, NATIVE);
    FloatVector s4 = FloatVector.fromMemorySegment(F, out, outOffset + 4 * BYTES, NATIVE);
    FloatVector s5 = FloatVector.fromMemorySegment(F, out, outOffset + 5 * BYTES, NATIVE);
    for (int i = 0; i < count; i++) {
      FloatVector a = FloatVector.fromMemorySegment(F, panel, panelOffset + BYTES * i, NATIVE);
      FloatVector x = FloatVector.broadcast(F, rows.get(F32, rowsOffset + 4L * i));
      s0 = x.fma(a, s0);
      x = FloatVector.broadcast(F, rows.get(F32, row1 + 4L * i));
      s1 = x.fma(a, s1);
      x = FloatVector.broadcast(F, rows.get(F32, row2 + 4L * i));
      s2 = x.fma(a, s2);
      x = FloatVector.broadcast(F, rows.get(F32, row3 + 4L * i));
      s3 = x.fma(a, s3);
      x = FloatVector.broadcast(F, rows.get(F32, row4 + 4L * i));
      s4 = x.fma(a, s4);
      x = FloatVector.broadcast(F, rows.get(F32, row5 + 4L * i));
      s5 = x.fma(a, s5);
    }
    s0.intoMemorySegment(out, outOffset, NATIVE);
    s1.intoMemorySegment(out, outOffset + BYTES, NATIVE);
    s2.intoMemorySegment(out, outOffset + 2 * BYTES, NATIVE);
    s3.intoMemorySegment(out, outOffset + 3 * BYTES, NATIVE);
    s4.intoMemorySegment(out, outOffset + 4 * BYTES, NATIVE);
    s5.intoMemorySegment(out, outOffset + 5 * BYTES, NATIVE);
  }

  private static void panel1x2(
      MemorySegment rowsMemory,
      long rowsOffset,
      MemorySegment panelMemory,
      long panelOffset,
      int count,
      MemorySegment outMemory,
      long outOffset) {
    MemorySegment rows = OFF_HEAP.cast(rowsMemory);
    MemorySegment panel = OFF_HEAP.cast(panelMemory);
    MemorySegment out = OFF_HEAP.cast(outMemory);
    FloatVector s0a = FloatVector.fromMemorySegment(F, out, outOffset, NATIVE);
    FloatVector s0b = FloatVector.fromMemorySegment(F, out, outOffset + BYTES, NATIVE);
    for (int i = 0; i < count; i++) {
      long at = panelOffset + WIDE_BYTES * i;
      FloatVector a = FloatVector.fromMemorySegment(F, panel, at, NATIVE);
      FloatVector b = FloatVector.fromMemorySegment(F, panel, at + BYTES, NATIVE);
      FloatVector x = FloatVector.broadcast(F, rows.get(F32, rowsOffset + 4L * i));
      s0a = x.fma(a, s0a);
      s0b = x.fma(b, s0b);
    }
    s0a.intoMemorySegment(out, outOffset, NATIVE);
    s0b.intoMemorySegment(out, outOffset + BYTES, NATIVE);
  }

  private static void panel1x1(
      MemorySegment rowsMemory,
      long rowsOffset,
      MemorySegment panelMemory,
      long panelOffset,
      int count,
      MemorySegment outMemory,
      long outOffset) {
    MemorySegment rows = OFF_HEAP.cast(rowsMemory);
    MemorySegment panel = OFF_HEAP.cast(panelMemory);
    MemorySegment out = OFF_HEAP.cast(outMemory);
    FloatVector s0 = FloatVector.fromMemorySegment(F, out, outOffset, NATIVE);
    for (int i = 0; i < count; i++) {
      FloatVector a = FloatVector.fromMemorySegment(F, panel, panelOffset + BYTES * i, NATIVE);
      FloatVector x = FloatVector.broadcast(F, rows.get(F32, rowsOffset + 4L * i));
      s0 = x.fma(a, s0);
    }
    s0.intoMemorySegment(out, outOffset, NATIVE);
  }

  /// Four rows at a time, two vectors of each: eight chains of sums.
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
    int r = 0;
    if (isOffHeap(rows, x, out)) {
      for (; r < rowCount - 3; r += 4) {
        long at = rowsOffset + rowStride * r;
        rows4(rows, at, rowStride, x, xOffset, count, out, outOffset + 4L * r, add);
      }
      for (; r < rowCount; r++) {
        long at = rowsOffset + rowStride * r;
        rows1(rows, at, x, xOffset, count, out, outOffset + 4L * r, add);
      }
    }
    SCALAR.multiplyRow(
        rows,
        rowsOffset + rowStride * r,
        rowStride,
        rowCount - r,
        x,
        xOffset,
        count,
        out,
        outOffset + 4L * r,
        add);
  }

  private static void rows4(
      MemorySegment rowsMemory,
      long row0,
      long rowStride,
      MemorySegment xMemory,
      long xOffset,
      int count,
      MemorySegment out,
      long outOffset,
      boolean add) {
    MemorySegment rows = OFF_HEAP.cast(rowsMemory);
    MemorySegment x = OFF_HEAP.cast(xMemory);
    long row1 = row0 + rowStride;
    long row2 = row1 + rowStride;
    long row3 = row2 + rowStride;
    FloatVector s0a = FloatVector.zero(F);
    FloatVector s0b = FloatVector.zero(F);
    FloatVector s1a = FloatVector.zero(F);
    FloatVector s1b = FloatVector.zero(F);
    FloatVector s2a = FloatVector.zero(F);
    FloatVector s2b = FloatVector.zero(F);
    FloatVector s3a = FloatVector.zero(F);
    FloatVector s3b = FloatVector.zero(F);
    int i = 0;
    for (; i <= count - 2 * LANES; i += 2 * LANES) {
      long at = 4L * i;
      FloatVector a = FloatVector.fromMemorySegment(F, x, xOffset + at, NATIVE);
      FloatVector b = FloatVector.fromMemorySegment(F, x, xOffset + at + BYTES, NATIVE);
      s0a = a.fma(FloatVector.fromMemorySegment(F, rows, row0 + at, NATIVE), s0a);
      s0b = b.fma(FloatVector.fromMemorySegment(F, rows, row0 + at + BYTES, NATIVE), s0b);
      s1a = a.fma(FloatVector.fromMemorySegment(F, rows, row1 + at, NATIVE), s1a);
      s1b = b.fma(FloatVector.fromMemorySegment(F, rows, row1 + at + BYTES, NATIVE), s1b);
      s2a = a.fma(FloatVector.fromMemorySegment(F, rows, row2 + at, NATIVE), s2a);
      s2b = b.fma(FloatVector.fromMemorySegment(F, rows, row2 + at + BYTES, NATIVE), s2b);
      s3a = a.fma(FloatVector.fromMemorySegment(F, rows, row3 + at, NATIVE), s3a);
      s3b = b.fma(FloatVector.fromMemorySegment(F, rows, row3 + at + BYTES, NATIVE), s3b);
    }
    float[] lanes0 = s0a.add(s0b).toArray();
    float[] lanes1 = s1a.add(s1b).toArray();
    float[] lanes2 = s2a.add(s2b).toArray();
    float[] lanes3 = s3a.add(s3b).toArray();
    float sum0 = 0;
    float sum1 = 0;
    float sum2 = 0;
    float sum3 = 0;
    for (int lane = 0; lane < LANES; lane++) {
      sum0 += lanes0[lane];
      sum1 += lanes1[lane];
      sum2 += lanes2[lane];
      sum3 += lanes3[lane];
    }
    for (; i < count; i++) {
      float a = x.get(F32, xOffset + 4L * i);
      sum0 = Math.fma(a, rows.get(F32, row0 + 4L * i), sum0);
      sum1 = Math.fma(a, rows.get(F32, row1 + 4L * i), sum1);
      sum2 = Math.fma(a, rows.get(F32, row2 + 4L * i), sum2);
      sum3 = Math.fma(a, rows.get(F32, row3 + 4L * i), sum3);
    }
    if (add) {
      sum0 += out.get(F32, outOffset);
      sum1 += out.get(F32, outOffset + 4);
      sum2 += out.get(F32, outOffset + 8);
      sum3 += out.get(F32, outOffset + 12);
    }
    out.set(F32, outOffset, sum0);
    out.set(F32, outOffset + 4, sum1);
    out.set(F32, outOffset + 8, sum2);
    out.set(F32, outOffset + 12, sum3);
  }

  private static void rows1(
      MemorySegment rowsMemory,
      long row,
      MemorySegment xMemory,
      long xOffset,
      int count,
      MemorySegment out,
      long outOffset,
      boolean add) {
    MemorySegment rows = OFF_HEAP.cast(rowsMemory);
    MemorySegment x = OFF_HEAP.cast(xMemory);
    FloatVector sa = FloatVector.zero(F);
    FloatVector sb = FloatVector.zero(F);
    int i = 0;
    for (; i <= count - 2 * LANES; i += 2 * LANES) {
      long at = 4L * i;
      FloatVector a = FloatVector.fromMemorySegment(F, x, xOffset + at, NATIVE);
      FloatVector b = FloatVector.fromMemorySegment(F, x, xOffset + at + BYTES, NATIVE);
      sa = a.fma(FloatVector.fromMemorySegment(F, rows, row + at, NATIVE), sa);
      sb = b.fma(FloatVector.fromMemorySegment(F, rows, row + at + BYTES, NATIVE), sb);
    }
    float sum = 0;
    for (float lane : sa.add(sb).toArray()) {
      sum += lane;
    }
    for (; i < count; i++) {
      sum = Math.fma(x.get(F32, xOffset + 4L * i), rows.get(F32, row + 4L * i), sum);
    }
    out.set(F32, outOffset, add ? out.get(F32, outOffset) + sum : sum);
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
    if (!isOffHeap(scores, state, values)) {
      SCALAR.softmaxStep(
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
      return;
    }
    long step = (long) width * Float.BYTES;
    for (int t = 0; t < width; t += LANES) {
      long at = (long) t * Float.BYTES;
      softmaxStepLanes(
          scores,
          scoresOffset + at,
          keys,
          step,
          scale,
          seen + t,
          state,
          stateOffset + at,
          values,
          valuesOffset + at,
          valueRows);
    }
  }

  private static void softmaxStepLanes(
      MemorySegment scoresMemory,
      long scoresOffset,
      int keys,
      long step,
      float scale,
      int seen,
      MemorySegment stateMemory,
      long stateOffset,
      MemorySegment valuesMemory,
      long valuesOffset,
      int valueRows) {
    MemorySegment scores = OFF_HEAP.cast(scoresMemory);
    MemorySegment state = OFF_HEAP.cast(stateMemory);
    MemorySegment values = OFF_HEAP.cast(valuesMemory);
    FloatVector places = FloatVector.fromArray(F, PLACES, 0);
    FloatVector before = FloatVector.fromMemorySegment(F, state, stateOffset, NATIVE);
    FloatVector max = before;
    for (int j = 0; j < keys; j++) {
      FloatVector x = FloatVector.fromMemorySegment(F, scores, scoresOffset + step * j, NATIVE);
      x = x.mul(scale);
      max = max.blend(x, x.compare(GT, max).and(places.compare(GE, (float) (j - seen))));
    }
    FloatVector sum = FloatVector.zero(F);
    for (int j = 0; j < keys; j++) {
      long at = scoresOffset + step * j;
      FloatVector x = FloatVector.fromMemorySegment(F, scores, at, NATIVE).mul(scale).sub(max);
      FloatVector n = x.mul(LOG2_E).add(TO_INTEGER);
      FloatVector whole = n.sub(TO_INTEGER);
      FloatVector r = whole.mul(-LN2_LOW).add(whole.fma(FloatVector.broadcast(F, -LN2_HIGH), x));
      FloatVector e = FloatVector.broadcast(F, C7).fma(r, FloatVector.broadcast(F, C6));
      e = e.fma(r, FloatVector.broadcast(F, C5));
      e = e.fma(r, FloatVector.broadcast(F, C4));
      e = e.fma(r, FloatVector.broadcast(F, C3));
      e = e.fma(r, FloatVector.broadcast(F, C2));
      e = e.fma(r, FloatVector.broadcast(F, 1f)).fma(r, FloatVector.broadcast(F, 1f));
      e =
          e.mul(
              n.reinterpretAsInts()
                  .add(EXPONENT_BIAS)
                  .lanewise(LSHL, FRACTION_BITS)
                  .reinterpretAsFloats());
      e = e.blend(0f, x.compare(LT, LEAST_EXP).or(places.compare(LT, (float) (j - seen))));
      e.intoMemorySegment(scores, at, NATIVE);
      sum = sum.add(e);
    }
    FloatVector x = before.sub(max);
    FloatVector n = x.mul(LOG2_E).add(TO_INTEGER);
    FloatVector whole = n.sub(TO_INTEGER);
    FloatVector r = whole.mul(-LN2_LOW).add(whole.fma(FloatVector.broadcast(F, -LN2_HIGH), x));
    FloatVector e = FloatVector.broadcast(F, C7).fma(r, FloatVector.broadcast(F, C6));
    e = e.fma(r, FloatVector.broadcast(F, C5));
    e = e.fma(r, FloatVector.broadcast(F, C4));
    e = e.fma(r, FloatVector.broadcast(F, C3));
    e = e.fma(r, FloatVector.broadcast(F, C2));
    e = e.fma(r, FloatVector.broadcast(F, 1f)).fma(r, FloatVector.broadcast(F, 1f));
    e =
        e.mul(
            n.reinterpretAsInts()
                .add(EXPONENT_BIAS)
                .lanewise(LSHL, FRACTION_BITS)
                .reinterpretAsFloats());
    e = e.blend(0f, x.compare(LT, LEAST_EXP));
    max.intoMemorySegment(state, stateOffset, NATIVE);
    FloatVector.fromMemorySegment(F, state, stateOffset + step, NATIVE)
        .fma(e, sum)
        .intoMemorySegment(state, stateOffset + step, NATIVE);
    if (e.compare(LT, 1f).anyTrue()) {
      for (int d = 0; d < valueRows; d++) {
        long at = valuesOffset + step * d;
        FloatVector.fromMemorySegment(F, values, at, NATIVE)
            .mul(e)
            .intoMemorySegment(values, at, NATIVE);
      }
    }
  }

  @Override
  public void divideColumns(
      MemorySegment valuesMemory,
      long valuesOffset,
      int rowCount,
      int width,
      MemorySegment divisorsMemory,
      long divisorsOffset) {
    if (!isOffHeap(valuesMemory, divisorsMemory, divisorsMemory)) {
      SCALAR.divideColumns(
          valuesMemory, valuesOffset, rowCount, width, divisorsMemory, divisorsOffset);
      return;
    }
    MemorySegment values = OFF_HEAP.cast(valuesMemory);
    MemorySegment divisors = OFF_HEAP.cast(divisorsMemory);
    for (long t = 0; t < width; t += LANES) {
      FloatVector d = FloatVector.fromMemorySegment(F, divisors, divisorsOffset + 4 * t, NATIVE);
      for (int row = 0; row < rowCount; row++) {
        long at = valuesOffset + 4 * ((long) row * width + t);
        FloatVector.fromMemorySegment(F, values, at, NATIVE)
            .div(d)
            .intoMemorySegment(values, at, NATIVE);
      }
    }
  }

  @Override
  public void addScaled(
      float factor,
      MemorySegment xMemory,
      long xOffset,
      MemorySegment intoMemory,
      long intoOffset,
      long count) {
    long i = 0;
    if (isOffHeap(xMemory, intoMemory, intoMemory)) {
      MemorySegment x = OFF_HEAP.cast(xMemory);
      MemorySegment into = OFF_HEAP.cast(intoMemory);
      FloatVector factors = FloatVector.broadcast(F, factor);
      for (; i <= count - LANES; i += LANES) {
        factors
            .fma(
                FloatVector.fromMemorySegment(F, x, xOffset + 4 * i, NATIVE),
                FloatVector.fromMemorySegment(F, into, intoOffset + 4 * i, NATIVE))
            .intoMemorySegment(into, intoOffset + 4 * i, NATIVE);
      }
    }
    long at = 4 * i;
    SCALAR.addScaled(factor, xMemory, xOffset + at, intoMemory, intoOffset + at, count - i);
  }

  /// The sum of squares in F32, in four chains of each lane.
  @Override
  public void rmsNorm(
      MemorySegment xMemory,
      long xOffset,
      MemorySegment weightMemory,
      long weightOffset,
      double eps,
      MemorySegment outMemory,
      long outOffset,
      long count) {
    if (!isOffHeap(xMemory, weightMemory, outMemory)) {
      SCALAR.rmsNorm(
          xMemory, xOffset, weightMemory, weightOffset, eps, outMemory, outOffset, count);
      return;
    }
    MemorySegment x = OFF_HEAP.cast(xMemory);
    MemorySegment weight = OFF_HEAP.cast(weightMemory);
    MemorySegment out = OFF_HEAP.cast(outMemory);
    FloatVector s0 = FloatVector.zero(F);
    FloatVector s1 = FloatVector.zero(F);
    FloatVector s2 = FloatVector.zero(F);
    FloatVector s3 = FloatVector.zero(F);
    long i = 0;
    for (; i <= count - 4L * LANES; i += 4L * LANES) {
      long at = xOffset + 4 * i;
      FloatVector a = FloatVector.fromMemorySegment(F, x, at, NATIVE);
      FloatVector b = FloatVector.fromMemorySegment(F, x, at + BYTES, NATIVE);
      FloatVector c = FloatVector.fromMemorySegment(F, x, at + 2 * BYTES, NATIVE);
      FloatVector d = FloatVector.fromMemorySegment(F, x, at + 3 * BYTES, NATIVE);
      s0 = a.fma(a, s0);
      s1 = b.fma(b, s1);
      s2 = c.fma(c, s2);
      s3 = d.fma(d, s3);
    }
    double squares = 0;
    for (float square : s0.add(s1).add(s2.add(s3)).toArray()) {
      squares += square;
    }
    for (; i < count; i++) {
      double value = x.get(F32, xOffset + 4 * i);
      squares += value * value;
    }
    double factor = 1 / Math.sqrt(squares / count + eps);
    FloatVector factors = FloatVector.broadcast(F, (float) factor);
    for (i = 0; i <= count - LANES; i += LANES) {
      FloatVector.fromMemorySegment(F, x, xOffset + 4 * i, NATIVE)
          .mul(factors)
          .mul(FloatVector.fromMemorySegment(F, weight, weightOffset + 4 * i, NATIVE))
          .intoMemorySegment(out, outOffset + 4 * i, NATIVE);
    }
    for (; i < count; i++) {
      double value = x.get(F32, xOffset + 4 * i) * factor * weight.get(F32, weightOffset + 4 * i);
      out.set(F32, outOffset + 4 * i, (float) value);
    }
  }

  @Override
  public void softmax(MemorySegment xMemory, long xOffset, long count) {
    if (!OFF_HEAP.isInstance(xMemory)) {
      SCALAR.softmax(xMemory, xOffset, count);
      return;
    }
    MemorySegment memory = OFF_HEAP.cast(xMemory);
    FloatVector maxima = FloatVector.broadcast(F, Float.NEGATIVE_INFINITY);
    long i = 0;
    for (; i <= count - LANES; i += LANES) {
      FloatVector x = FloatVector.fromMemorySegment(F, memory, xOffset + 4 * i, NATIVE);
      maxima = maxima.blend(x, x.compare(GT, maxima));
    }
    float max = maxima.reduceLanes(MAX);
    for (; i < count; i++) {
      max = Math.max(max, memory.get(F32, xOffset + 4 * i));
    }
    FloatVector sums = FloatVector.zero(F);
    for (i = 0; i <= count - LANES; i += LANES) {
      FloatVector x = FloatVector.fromMemorySegment(F, memory, xOffset + 4 * i, NATIVE).sub(max);
      FloatVector n = x.mul(LOG2_E).add(TO_INTEGER);
      FloatVector whole = n.sub(TO_INTEGER);
      FloatVector r = whole.mul(-LN2_LOW).add(whole.fma(FloatVector.broadcast(F, -LN2_HIGH), x));
      FloatVector e = FloatVector.broadcast(F, C7).fma(r, FloatVector.broadcast(F, C6));
      e = e.fma(r, FloatVector.broadcast(F, C5));
      e = e.fma(r, FloatVector.broadcast(F, C4));
      e = e.fma(r, FloatVector.broadcast(F, C3));
      e = e.fma(r, FloatVector.broadcast(F, C2));
      e = e.fma(r, FloatVector.broadcast(F, 1f)).fma(r, FloatVector.broadcast(F, 1f));
      e =
          e.mul(
              n.reinterpretAsInts()
                  .add(EXPONENT_BIAS)
                  .lanewise(LSHL, FRACTION_BITS)
                  .reinterpretAsFloats());
      e = e.blend(0f, x.compare(LT, LEAST_EXP));
      e.intoMemorySegment(memory, xOffset + 4 * i, NATIVE);
      sums = sums.add(e);
    }
    double sum = 0;
    for (float part : sums.toArray()) {
      sum += part;
    }
    for (; i < count; i++) {
      float e = (float) Math.exp((double) memory.get(F32, xOffset + 4 * i) - max);
      memory.set(F32, xOffset + 4 * i, e);
      sum += e;
    }
    float factor = (float) (1 / sum);
    for (i = 0; i <= count - LANES; i += LANES) {
      FloatVector.fromMemorySegment(F, memory, xOffset + 4 * i, NATIVE)
          .mul(factor)
          .intoMemorySegment(memory, xOffset + 4 * i, NATIVE);
    }
    for (; i < count; i++) {
      memory.set(F32, xOffset + 4 * i, memory.get(F32, xOffset + 4 * i) * factor);
    }
  }

  @Override
  public void siluMultiply(
      MemorySegment gateMemory,
      long gateOffset,
      MemorySegment upMemory,
      long upOffset,
      MemorySegment outMemory,
      long outOffset,
      long count) {
    long i = 0;
    if (isOffHeap(gateMemory, upMemory, outMemory)) {
      MemorySegment gate = OFF_HEAP.cast(gateMemory);
      MemorySegment up = OFF_HEAP.cast(upMemory);
      MemorySegment out = OFF_HEAP.cast(outMemory);
      for (; i <= count - LANES; i += LANES) {
        FloatVector g = FloatVector.fromMemorySegment(F, gate, gateOffset + 4 * i, NATIVE);
        FloatVector x = g.neg();
        x = x.blend(-LEAST_EXP, x.compare(GT, -LEAST_EXP));
        FloatVector n = x.mul(LOG2_E).add(TO_INTEGER);
        FloatVector whole = n.sub(TO_INTEGER);
        FloatVector r = whole.mul(-LN2_LOW).add(whole.fma(FloatVector.broadcast(F, -LN2_HIGH), x));
        FloatVector e = FloatVector.broadcast(F, C7).fma(r, FloatVector.broadcast(F, C6));
        e = e.fma(r, FloatVector.broadcast(F, C5));
        e = e.fma(r, FloatVector.broadcast(F, C4));
        e = e.fma(r, FloatVector.broadcast(F, C3));
        e = e.fma(r, FloatVector.broadcast(F, C2));
        e = e.fma(r, FloatVector.broadcast(F, 1f)).fma(r, FloatVector.broadcast(F, 1f));
        e =
            e.mul(
                n.reinterpretAsInts()
                    .add(EXPONENT_BIAS)
                    .lanewise(LSHL, FRACTION_BITS)
                    .reinterpretAsFloats());
        e = e.blend(0f, x.compare(LT, LEAST_EXP));
        g.div(e.add(1f))
            .mul(FloatVector.fromMemorySegment(F, up, upOffset + 4 * i, NATIVE))
            .intoMemorySegment(out, outOffset + 4 * i, NATIVE);
      }
    }
    SCALAR.siluMultiply(
        gateMemory,
        gateOffset + 4 * i,
        upMemory,
        upOffset + 4 * i,
        outMemory,
        outOffset + 4 * i,
        count - i);
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
    if (!isOffHeap(x, cos, sin)) {
      SCALAR.rope(x, xOffset, cos, cosOffset, sin, sinOffset, pairs, layout);
      return;
    }
    switch (layout) {
      case INTERLEAVED -> ropeInterleaved(x, xOffset, cos, cosOffset, sin, sinOffset, pairs);
      case HALVES -> ropeHalves(x, xOffset, cos, cosOffset, sin, sinOffset, pairs);
    }
  }

  private static void ropeInterleaved(
      MemorySegment xMemory,
      long xOffset,
      MemorySegment cosMemory,
      long cosOffset,
      MemorySegment sinMemory,
      long sinOffset,
      long pairs) {
    MemorySegment x = OFF_HEAP.cast(xMemory);
    MemorySegment cos = OFF_HEAP.cast(cosMemory);
    MemorySegment sin = OFF_HEAP.cast(sinMemory);
    FloatVector signs = FloatVector.fromArray(F, PAIR_SIGNS, 0);
    long i = 0;
    for (; i <= pairs - LANES; i += LANES) {
      FloatVector c = FloatVector.fromMemorySegment(F, cos, cosOffset + 4 * i, NATIVE);
      FloatVector s = FloatVector.fromMemorySegment(F, sin, sinOffset + 4 * i, NATIVE);
      long at = xOffset + 8 * i;
      FloatVector low = FloatVector.fromMemorySegment(F, x, at, NATIVE);
      FloatVector high = FloatVector.fromMemorySegment(F, x, at + BYTES, NATIVE);
      low.rearrange(SWAP)
          .mul(signs)
          .mul(s.rearrange(TWICE_LOW))
          .add(low.mul(c.rearrange(TWICE_LOW)))
          .intoMemorySegment(x, at, NATIVE);
      high.rearrange(SWAP)
          .mul(signs)
          .mul(s.rearrange(TWICE_HIGH))
          .add(high.mul(c.rearrange(TWICE_HIGH)))
          .intoMemorySegment(x, at + BYTES, NATIVE);
    }
    SCALAR.rope(
        x,
        xOffset + 8 * i,
        cos,
        cosOffset + 4 * i,
        sin,
        sinOffset + 4 * i,
        pairs - i,
        RopeLayout.INTERLEAVED);
  }

  private static void ropeHalves(
      MemorySegment xMemory,
      long xOffset,
      MemorySegment cosMemory,
      long cosOffset,
      MemorySegment sinMemory,
      long sinOffset,
      long pairs) {
    MemorySegment x = OFF_HEAP.cast(xMemory);
    MemorySegment cos = OFF_HEAP.cast(cosMemory);
    MemorySegment sin = OFF_HEAP.cast(sinMemory);
    long second = xOffset + 4 * pairs;
    long i = 0;
    for (; i <= pairs - LANES; i += LANES) {
      FloatVector c = FloatVector.fromMemorySegment(F, cos, cosOffset + 4 * i, NATIVE);
      FloatVector s = FloatVector.fromMemorySegment(F, sin, sinOffset + 4 * i, NATIVE);
      FloatVector a = FloatVector.fromMemorySegment(F, x, xOffset + 4 * i, NATIVE);
      FloatVector b = FloatVector.fromMemorySegment(F, x, second + 4 * i, NATIVE);
      a.mul(c).sub(b.mul(s)).intoMemorySegment(x, xOffset + 4 * i, NATIVE);
      b.mul(c).add(a.mul(s)).intoMemorySegment(x, second + 4 * i, NATIVE);
    }
    for (; i < pairs; i++) {
      double a = x.get(F32, xOffset + 4 * i);
      double b = x.get(F32, second + 4 * i);
      double c = cos.get(F32, cosOffset + 4 * i);
      double s = sin.get(F32, sinOffset + 4 * i);
      x.set(F32, xOffset + 4 * i, (float) (a * c - b * s));
      x.set(F32, second + 4 * i, (float) (b * c + a * s));
    }
  }
}
