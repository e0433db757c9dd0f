package smelt.calibrate.model;

import java.util.Arrays;

/// The tokens of each expert, in order, and what the expert's output is multiplied by for each.
final class Assignment {

  private final int[] starts;
  private final int[] rows;
  private final float[] factors;

  private Assignment(int[] starts, int[] rows, float[] factors) {
    this.starts = starts;
    this.rows = rows;
    this.factors = factors;
  }

  /// Sorts the choices of tokens `first` to `first + count` by expert. Rows count from `first`.
  static Assignment of(Routing routing, long first, long count, int experts) {
    int[] starts = new int[experts + 1];
    for (long token = first; token < first + count; token++) {
      for (int rank = 0; rank < routing.k(); rank++) {
        starts[routing.expert(token, rank) + 1]++;
      }
    }
    Arrays.parallelPrefix(starts, Math::addExact);
    int[] next = starts.clone();
    int[] rows = new int[starts[experts]];
    float[] factors = new float[starts[experts]];
    for (long token = first; token < first + count; token++) {
      for (int rank = 0; rank < routing.k(); rank++) {
        int at = next[routing.expert(token, rank)]++;
        rows[at] = (int) (token - first);
        factors[at] = routing.weight(token, rank);
      }
    }
    return new Assignment(starts, rows, factors);
  }

  int[] rows(int expert) {
    return Arrays.copyOfRange(rows, starts[expert], starts[expert + 1]);
  }

  float[] factors(int expert) {
    return Arrays.copyOfRange(factors, starts[expert], starts[expert + 1]);
  }

  /// Heap bytes for so many choices.
  static long bytes(long choices) {
    return Math.multiplyExact(choices, 8L);
  }
}
