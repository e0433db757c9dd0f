package smelt.formats.experts;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;

/// The tiles that KTransformers' AMX and AVX-512 kernels read (`AMXINT8`, `AMXINT4`), for one
/// matrix of one expert, `[n, k]` with `n` output rows, or the slice of it that belongs to one NUMA
/// node.
///
/// Rows are cut into blocks of [#rowBlock], columns into blocks of 3584, a block into steps of 32
/// rows, those into steps of [#colStep] columns. A step holds two half tiles of 16 rows, 1024 bytes
/// each: quads of columns, of each quad 16 rows, of each row 4 bytes. With `nb`, `kb`, `ns`, `ks`
/// the first row or column of block and step, `NB` and `KB` the block's sizes, `r = row - ns`, `c =
/// col - ks`:
///
/// | | byte of a weight | block rows | step columns |
/// |---|---|---|---|
/// | INT8 | `nb k + kb NB + ns' KB + ks' 32 + (r/16) 1024 + (c/4) 64 + (r%16) 4 + c%4` | 64 | 64 |
/// | INT4 | `(nb k + kb NB + ns' KB + ks' 32) / 2 + (r/16) 1024 + (c'/4) 64 + (r%16) 4 + c'%4` | 128 | 128 |
///
/// where `ns' = ns - nb`, `ks' = ks - kb`, and for INT4 `c' = c % 64`, the low nibble for `c < 64`,
/// the high one for the others, in two's complement. Up to 3584 columns the sizes of the blocks
/// make no difference. Scales are F32, one a row, in the order of the rows, stored apart.
///
/// The kernels multiply wrongly by -128, and by a nibble of -8: neither is ever packed.
public enum AmxLayout {
  INT8(64, 64, 8),
  INT4(128, 128, 4);

  private static final int COL_BLOCK = 3584;
  private static final long ROW_STEP = 32;
  private static final long HALF = 16;
  private static final long HALF_BYTES = 1024;
  private static final long QUAD = 4;
  private static final long QUADS = 16;
  private static final int NIBBLES = 0x0F0F0F0F;

  private static final ValueLayout.OfInt I32 =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final int rowBlock;
  private final int colStep;
  private final int bits;

  AmxLayout(int rowBlock, int colStep, int bits) {
    this.rowBlock = rowBlock;
    this.colStep = colStep;
    this.bits = bits;
  }

  /// Rows of a block.
  public int rowBlock() {
    return rowBlock;
  }

  /// Columns of a step, of which a matrix must have a multiple.
  public int colStep() {
    return colStep;
  }

  /// Largest magnitude of a code.
  public int largest() {
    return bits == 8 ? 127 : 7;
  }

  /// Bytes of a packed matrix.
  public long bytes(long n, long k) {
    return Math.multiplyExact(n, k) * bits / Byte.SIZE;
  }

  /// Why a matrix cannot be packed, in words; empty when it can.
  public List<String> misfits(long n, long k) {
    List<String> misfits = new ArrayList<>();
    if (n < 1 || n % ROW_STEP != 0) {
      misfits.add(n + " rows, " + this + " takes multiples of " + ROW_STEP);
    }
    if (k < 1 || k % colStep != 0) {
      misfits.add(k + " columns, " + this + " takes multiples of " + colStep);
    }
    return misfits;
  }

  /// The byte that holds a weight of a matrix `[n, k]`: the table of the class comment.
  public long offset(long n, long k, long row, long col) {
    long nb = row / rowBlock * rowBlock;
    long rows = Math.min(rowBlock, n - nb);
    long kb = col / COL_BLOCK * COL_BLOCK;
    long cols = Math.min(COL_BLOCK, k - kb);
    long ns = (row - nb) / ROW_STEP * ROW_STEP;
    long ks = (col - kb) / colStep * colStep;
    long r = row - nb - ns;
    long c = (col - kb - ks) % (QUADS * QUAD);
    long step = (nb * k + kb * rows + ns * cols + ks * ROW_STEP) * bits / Byte.SIZE;
    return step + r / HALF * HALF_BYTES + c / QUAD * HALF * QUAD + r % HALF * QUAD + c % QUAD;
  }

  /// Whether an INT4 weight of this column is the high nibble of its byte.
  public boolean isHigh(long col) {
    return this == INT4 && col % colStep >= colStep / 2;
  }

  /// Packs a matrix.
  ///
  /// @param codes one signed byte a weight, rows of `k` codes that are `stride` bytes apart
  /// @param out where `bytes(n, k)` are written from `outOffset` on; must not overlap `codes`
  /// @throws IllegalArgumentException if there are [#misfits], or a code is out of range
  public void pack(
      MemorySegment codes,
      long codesOffset,
      long stride,
      long n,
      long k,
      MemorySegment out,
      long outOffset) {
    fit(n, k);
    for (long row = 0; row < n; row += HALF) {
      for (long col = 0; col < k; col += colStep) {
        long from = codesOffset + row * stride + col;
        packHalf(codes, from, stride, out, outOffset + offset(n, k, row, col));
      }
    }
  }

  private void packHalf(
      MemorySegment codes, long from, long stride, MemorySegment out, long outOffset) {
    for (int r = 0; r < HALF; r++) {
      long in = from + r * stride;
      long half = colStep / 2;
      long at = outOffset + r * QUAD;
      for (int quad = 0; quad < QUADS; quad++) {
        int four = codes.get(I32, in + quad * QUAD);
        if (this == INT4) {
          int high = codes.get(I32, in + half + quad * QUAD);
          refuse(isOutside4(four) || isOutside4(high), in);
          four = (four & NIBBLES) | (high & NIBBLES) << 4;
        } else {
          refuse(hasLeast8(four), in);
        }
        out.set(I32, at + quad * HALF * QUAD, four);
      }
    }
  }

  /// Takes a packed matrix apart.
  ///
  /// @param packed read from `offset` on
  /// @param codes gets one signed byte a weight, rows `stride` bytes apart
  public void unpack(
      MemorySegment packed,
      long offset,
      long n,
      long k,
      MemorySegment codes,
      long codesOffset,
      long stride) {
    fit(n, k);
    for (long row = 0; row < n; row += HALF) {
      for (long col = 0; col < k; col += colStep) {
        long to = codesOffset + row * stride + col;
        unpackHalf(packed, offset + offset(n, k, row, col), codes, to, stride);
      }
    }
  }

  private void unpackHalf(
      MemorySegment packed, long from, MemorySegment codes, long to, long stride) {
    for (int r = 0; r < HALF; r++) {
      long at = to + r * stride;
      long half = colStep / 2;
      for (int quad = 0; quad < QUADS; quad++) {
        int four = packed.get(I32, from + r * QUAD + quad * HALF * QUAD);
        if (this == INT4) {
          codes.set(I32, at + quad * QUAD, extend(four & NIBBLES));
          codes.set(I32, at + half + quad * QUAD, extend(four >>> 4 & NIBBLES));
        } else {
          codes.set(I32, at + quad * QUAD, four);
        }
      }
    }
  }

  /// Four nibbles in the low halves of four bytes, to four signed bytes.
  private static int extend(int nibbles) {
    int sign = nibbles & 0x08080808;
    return nibbles | sign << 1 | sign << 2 | sign << 3 | sign << 4;
  }

  /// Whether one of four bytes is no number from -7 to 7.
  private static boolean isOutside4(int four) {
    boolean out = false;
    for (int shift = 0; shift < Integer.SIZE; shift += Byte.SIZE) {
      out |= Math.abs((byte) (four >> shift)) > 7;
    }
    return out;
  }

  /// Whether one of four bytes is -128, by the search for a zero byte.
  private static boolean hasLeast8(int four) {
    int x = four ^ 0x80808080;
    return ((x - 0x01010101) & ~x & 0x80808080) != 0;
  }

  private void refuse(boolean outOfRange, long at) {
    if (outOfRange) {
      throw new IllegalArgumentException(
          "a code outside [" + -largest() + ", " + largest() + "] near byte " + at);
    }
  }

  private void fit(long n, long k) {
    List<String> misfits = misfits(n, k);
    if (!misfits.isEmpty()) {
      throw new IllegalArgumentException(String.join("; ", misfits));
    }
  }
}
