package smelt.formats.gguf;

import java.util.ArrayList;
import java.util.List;

/// Pieces of 2, 4 or 8 bits that have another place in a group of interleaved blocks than in the
/// blocks themselves, which lie one after the other. No piece crosses a byte.
final class BitMoves {

  private final int width;
  private final int[] plain;
  private final int[] group;

  private BitMoves(int width, List<int[]> places) {
    this.width = width;
    plain = places.stream().mapToInt(place -> place[0]).toArray();
    group = places.stream().mapToInt(place -> place[1]).toArray();
  }

  /// To the group. Its other bits stay; those that are moved to must be zero or the same.
  void forward(byte[] blocks, byte[] to) {
    move(blocks, plain, to, group);
  }

  /// From the group.
  void back(byte[] blocks, byte[] from) {
    move(from, group, blocks, plain);
  }

  private void move(byte[] from, int[] fromBits, byte[] to, int[] toBits) {
    int mask = (1 << width) - 1;
    for (int i = 0; i < fromBits.length; i++) {
      int piece = from[fromBits[i] >> 3] >> (fromBits[i] & 7) & mask;
      int shift = toBits[i] & 7;
      int at = toBits[i] >> 3;
      to[at] = (byte) (to[at] & ~(mask << shift) | piece << shift);
    }
  }

  /// Collects the moves of a type, and makes sure that each bit has one.
  static final class Draft {

    private final GgmlType type;
    private final List<List<int[]>> byWidth =
        List.of(new ArrayList<>(), new ArrayList<>(), new ArrayList<>());
    private final boolean[] taken;
    private final boolean[] filled;

    Draft(GgmlType type) {
      this.type = type;
      taken = new boolean[8 * type.groupBytes()];
      filled = new boolean[8 * type.groupBytes()];
    }

    /// Two bytes of row `r`.
    void half(int r, int plainByte, int groupByte) {
      bits(8, r, 8 * plainByte, 8 * groupByte);
      bits(8, r, 8 * plainByte + 8, 8 * groupByte + 8);
    }

    /// @param plainBit within the block of row `r`
    void bits(int width, int r, int plainBit, int groupBit) {
      int from = 8 * r * type.blockBytes() + plainBit;
      for (int i = 0; i < width; i++) {
        if (taken[from + i] || filled[groupBit + i]) {
          throw new IllegalStateException(type + ": bit " + groupBit + " twice");
        }
        taken[from + i] = true;
        filled[groupBit + i] = true;
      }
      byWidth.get(Integer.numberOfTrailingZeros(width) - 1).add(new int[] {from, groupBit});
    }

    List<BitMoves> moves() {
      for (int i = 0; i < taken.length; i++) {
        if (!taken[i] || !filled[i]) {
          throw new IllegalStateException(type + ": bit " + i + " has no place");
        }
      }
      List<BitMoves> moves = new ArrayList<>();
      for (int i = 0; i < byWidth.size(); i++) {
        if (!byWidth.get(i).isEmpty()) {
          moves.add(new BitMoves(2 << i, byWidth.get(i)));
        }
      }
      return moves;
    }
  }
}
