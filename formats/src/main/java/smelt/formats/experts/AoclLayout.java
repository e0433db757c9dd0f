package smelt.formats.experts;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;

/// The panels that KTransformers' INT8 kernels for AMD processors read (`MOE_INT8` with AOCL-BLAS),
/// for one matrix of one expert, `[n, k]`, or the slice of one NUMA node.
///
/// Rows are cut into panels of `panel`: 32 for gate and up, 64 for down. A panel is `panel x (k +
/// 4)` bytes: codes, then for each of its rows `128 x sum of its codes` as a little-endian INT32.
/// With `j` the row within its panel, the code of column `c` is at `(c/4) 4 panel + (j/16) 64 +
/// (j%16) 4 + c%4`. Scales are F32, one a row, stored apart.
///
/// @param panel rows of a panel, a multiple of 16
public record AoclLayout(int panel) {

  /// For gate and up projections.
  public static final AoclLayout GATE_UP = new AoclLayout(32);

  /// For down projections.
  public static final AoclLayout DOWN = new AoclLayout(64);

  private static final int GROUP = 16;
  private static final int QUAD = 4;
  private static final int SUM_FACTOR = 128;

  private static final ValueLayout.OfInt I32 =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  public AoclLayout {
    if (panel < GROUP || panel % GROUP != 0) {
      throw new IllegalArgumentException("panels of " + panel + " rows");
    }
  }

  /// Bytes of a packed matrix.
  public long bytes(long n, long k) {
    return Math.multiplyExact(n, k + Integer.BYTES);
  }

  /// Why a matrix cannot be packed, in words; empty when it can.
  public List<String> misfits(long n, long k) {
    List<String> misfits = new ArrayList<>();
    if (n < 1 || n % panel != 0) {
      misfits.add(n + " rows, AOCL takes multiples of " + panel);
    }
    if (k < 1 || k % QUAD != 0) {
      misfits.add(k + " columns, AOCL takes multiples of " + QUAD);
    }
    return misfits;
  }

  /// Packs a matrix.
  ///
  /// @param codes one signed byte a weight, never -128, rows of `k` codes that are `stride` bytes
  ///   apart
  /// @param out where `bytes(n, k)` are written from `outOffset` on
  /// @throws IllegalArgumentException if there are [#misfits]
  public void pack(
      MemorySegment codes,
      long codesOffset,
      long stride,
      long n,
      long k,
      MemorySegment out,
      long outOffset) {
    fit(n, k);
    for (long row = 0; row < n; row++) {
      long start = outOffset + row / panel * panel * (k + Integer.BYTES);
      long j = row % panel;
      long at = start + place(j);
      long in = codesOffset + row * stride;
      int sum = 0;
      for (long c = 0; c < k; c += QUAD) {
        int four = codes.get(I32, in + c);
        sum += (byte) four + (byte) (four >> 8) + (byte) (four >> 16) + (four >> 24);
        out.set(I32, at + c * panel, four);
      }
      out.set(I32, start + panel * k + j * Integer.BYTES, Math.multiplyExact(SUM_FACTOR, sum));
    }
  }

  /// Takes a packed matrix apart; the sums are not looked at.
  ///
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
    for (long row = 0; row < n; row++) {
      long at = offset + row / panel * panel * (k + Integer.BYTES) + place(row % panel);
      for (long c = 0; c < k; c += QUAD) {
        codes.set(I32, codesOffset + row * stride + c, packed.get(I32, at + c * panel));
      }
    }
  }

  private static long place(long j) {
    return j / GROUP * GROUP * QUAD + j % GROUP * QUAD;
  }

  private void fit(long n, long k) {
    List<String> misfits = misfits(n, k);
    if (!misfits.isEmpty()) {
      throw new IllegalArgumentException(String.join("; ", misfits));
    }
  }
}
