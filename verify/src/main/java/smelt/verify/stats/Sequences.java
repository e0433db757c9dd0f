package smelt.verify.stats;

import java.util.HashMap;
import java.util.Map;

/// Which token belongs to which sequence. Sequences are numbered from 0 in the order in which they
/// first occur; their tokens need not lie together.
public final class Sequences {

  private final int[] unit;
  private final int[] length;

  /// @param sequence for each token, any number that names its sequence
  public Sequences(int[] sequence) {
    Map<Integer, Integer> numbers = new HashMap<>();
    unit = new int[sequence.length];
    for (int i = 0; i < sequence.length; i++) {
      unit[i] = numbers.merge(sequence[i], numbers.size(), (known, _) -> known);
    }
    length = new int[numbers.size()];
    for (int u : unit) {
      length[u]++;
    }
  }

  /// Number of sequences.
  public int count() {
    return length.length;
  }

  public int tokens() {
    return unit.length;
  }

  /// Tokens of each sequence.
  double[] lengths() {
    double[] lengths = new double[length.length];
    for (int i = 0; i < lengths.length; i++) {
      lengths[i] = length[i];
    }
    return lengths;
  }

  /// Sum over the tokens of each sequence.
  ///
  /// @param values one for each token
  double[] sums(double[] values) {
    if (values.length != unit.length) {
      throw new IllegalArgumentException(values.length + " values, " + unit.length + " tokens");
    }
    double[] sums = new double[length.length];
    for (int i = 0; i < values.length; i++) {
      sums[unit[i]] += values[i];
    }
    return sums;
  }
}
