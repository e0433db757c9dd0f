package smelt.formats.gguf;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/// Rows of blocks as ik_llama.cpp's kernels for CPUs read them: of `R` consecutive rows, block 0 of
/// each, then block 1 of each, and so on. The numbers are the plain type's, only their places are
/// others, so that interleaving and separating lose nothing. Where the numbers of a group lie, `r`
/// being the row and `c` the element:
///
/// | type | bytes of a group |
/// |---|---|
/// | `Q8_0_R8` | d 0:16, q 16:256 |
/// | `Q4_0_R8` | d 0:16, q 16:128 |
/// | `Q4_K_R4` | d 0:8, dmin 8:8, upper bits of s and m 16:16, lower 32:32, q 64:512 |
/// | `Q6_K_R4` | d 0:8, s 8:64, upper bits of q 72:256, lower 328:512 |
///
/// - F16 numbers: one a row.
/// - `Q8_0_R8` and `Q4_0_R8`: bytes in pieces of four, those of all rows together: byte `i` of a
///   row is number `i / 4 * 32 + 4 r + i % 4`.
/// - Codes of four bits in super-blocks: of each 32 elements 64 bytes, four pieces of 16; byte `4 r
///   + i` of a piece has elements `i + LOW` and `i + LOW + 8`, `LOW` being 0, 16, 4 and 20.
/// - The upper bits of `Q6_K_R4`: of each 32 elements 32 bytes, two pieces of 16; byte `4 r + i` of
///   piece `h` has elements `16 h + i` and those 8, 4 and 12 behind it, from the lowest bits up.
/// - Scales of `Q4_K_R4`: sub-block `b` of row `r` is number `t = 4 b + r`; lower four bits of s
///   and of m in byte `t`, upper two of s and of m in the low half of byte `t`, or for `t` from 16
///   on in the high half of byte `t - 16`.
/// - Scales of `Q6_K_R4`: byte `8 (b / 2) + 4 (b % 2) + r`.
public final class InterleavedRows {

  private static final int[] LOW = {0, 16, 4, 20};
  private static final int[] BEHIND = {0, 8, 4, 12};

  private static final Map<GgmlType, List<BitMoves>> MOVES =
      new EnumMap<>(
          Map.of(
              GgmlType.Q8_0_R8, bytesOf(GgmlType.Q8_0_R8),
              GgmlType.Q4_0_R8, bytesOf(GgmlType.Q4_0_R8),
              GgmlType.Q4_K_R4, fourBits(),
              GgmlType.Q6_K_R4, sixBits()));

  private InterleavedRows() {}

  /// Interleaves rows.
  ///
  /// @param type one with rows that are interleaved
  /// @param plain rows of the plain type, one after the other
  /// @param rows a multiple of `type.interleavedRows()`
  /// @param cols elements of a row, whole blocks
  /// @param out where `type.bytes(rows * cols)` are written; does not overlap `plain`
  /// @throws IllegalArgumentException for another type, or rows that are no whole groups
  public static void interleave(
      GgmlType type,
      MemorySegment plain,
      long plainOffset,
      long rows,
      long cols,
      MemorySegment out,
      long outOffset) {
    move(type, plain, plainOffset, rows, cols, out, outOffset, true);
  }

  /// The reverse of [#interleave].
  public static void separate(
      GgmlType type,
      MemorySegment in,
      long inOffset,
      long rows,
      long cols,
      MemorySegment plain,
      long plainOffset) {
    move(type, in, inOffset, rows, cols, plain, plainOffset, false);
  }

  private static void move(
      GgmlType type,
      MemorySegment in,
      long inOffset,
      long rows,
      long cols,
      MemorySegment out,
      long outOffset,
      boolean interleave) {
    int together = type.interleavedRows();
    if (together == 1 || rows % together != 0) {
      throw new IllegalArgumentException(rows + " rows of " + type);
    }
    long bytes = type.bytes(Math.multiplyExact(rows, cols));
    Objects.checkFromIndexSize(inOffset, bytes, in.byteSize());
    Objects.checkFromIndexSize(outOffset, bytes, out.byteSize());
    int block = type.blockBytes();
    long rowBytes = type.bytes(cols);
    byte[] plain = new byte[type.groupBytes()];
    byte[] group = new byte[type.groupBytes()];
    for (long row = 0; row < rows; row += together) {
      for (long b = 0; b < rowBytes / block; b++) {
        long together0 = row * rowBytes + b * group.length;
        if (interleave) {
          for (int r = 0; r < together; r++) {
            copy(in, inOffset + (row + r) * rowBytes + b * block, plain, r * block, block);
          }
          MOVES.get(type).forEach(moves -> moves.forward(plain, group));
          write(group, 0, out, outOffset + together0, group.length);
        } else {
          copy(in, inOffset + together0, group, 0, group.length);
          MOVES.get(type).forEach(moves -> moves.back(plain, group));
          for (int r = 0; r < together; r++) {
            write(plain, r * block, out, outOffset + (row + r) * rowBytes + b * block, block);
          }
        }
      }
    }
  }

  private static void copy(MemorySegment in, long at, byte[] to, int index, int count) {
    MemorySegment.copy(in, ValueLayout.JAVA_BYTE, at, to, index, count);
  }

  private static void write(byte[] from, int index, MemorySegment out, long at, int count) {
    MemorySegment.copy(from, index, out, ValueLayout.JAVA_BYTE, at, count);
  }

  /// `d`, then bytes in pieces of four.
  private static List<BitMoves> bytesOf(GgmlType type) {
    BitMoves.Draft draft = new BitMoves.Draft(type);
    for (int r = 0; r < 8; r++) {
      draft.half(r, 0, 2 * r);
      for (int i = 0; i < type.blockBytes() - 2; i++) {
        draft.bits(8, r, 8 * (2 + i), 8 * (16 + i / 4 * 32 + 4 * r + i % 4));
      }
    }
    return draft.moves();
  }

  private static List<BitMoves> fourBits() {
    BitMoves.Draft draft = new BitMoves.Draft(GgmlType.Q4_K_R4);
    for (int r = 0; r < 4; r++) {
      draft.half(r, 0, 2 * r);
      draft.half(r, 2, 8 + 2 * r);
      for (int b = 0; b < 8; b++) {
        int t = 4 * b + r;
        boolean first = b < 4;
        draft.bits(4, r, 8 * (first ? 4 + b : 8 + b), 8 * (32 + t));
        draft.bits(4, r, first ? 8 * (8 + b) : 8 * (8 + b) + 4, 8 * (32 + t) + 4);
        int upper = 8 * (16 + t % 16) + t / 16 * 4;
        draft.bits(2, r, first ? 8 * (4 + b) + 4 : 8 * b + 6, upper);
        draft.bits(2, r, first ? 8 * (8 + b) + 4 : 8 * (4 + b) + 6, upper + 2);
      }
      codes(draft, r, 16, 32, 64);
    }
    return draft.moves();
  }

  private static List<BitMoves> sixBits() {
    BitMoves.Draft draft = new BitMoves.Draft(GgmlType.Q6_K_R4);
    for (int r = 0; r < 4; r++) {
      draft.half(r, 208, 2 * r);
      for (int b = 0; b < 16; b++) {
        draft.bits(8, r, 8 * (192 + b), 8 * (8 + b / 2 * 8 + b % 2 * 4 + r));
      }
      codes(draft, r, 0, 64, 328);
      for (int e = 0; e < 256; e += 32) {
        for (int at = 0; at < 32; at++) {
          int i = at % 4;
          int h = at / 16;
          for (int k = 0; k < 4; k++) {
            if (at % 16 - i == BEHIND[k]) {
              int from = 8 * (128 + e / 128 * 32 + (e + at) % 32) + e % 128 / 32 * 2;
              draft.bits(2, r, from, 8 * (72 + e + 16 * h + 4 * r + i) + 2 * k);
            }
          }
        }
      }
    }
    return draft.moves();
  }

  /// Codes of four bits, of which the plain block has `run` in the low nibbles of as many bytes,
  /// and as many more in the high ones.
  private static void codes(BitMoves.Draft draft, int r, int plainAt, int run, int groupAt) {
    for (int e = 0; e < 256; e += 32) {
      for (int a = 0; a < 4; a++) {
        for (int i = 0; i < 4; i++) {
          int to = 8 * (groupAt + 2 * e + 16 * a + 4 * r + i);
          draft.bits(4, r, nibble(plainAt, run, e + i + LOW[a]), to);
          draft.bits(4, r, nibble(plainAt, run, e + i + LOW[a] + 8), to + 4);
        }
      }
    }
  }

  private static int nibble(int at, int run, int e) {
    return 8 * (at + e / (2 * run) * run + e % run) + e / run % 2 * 4;
  }
}
