package smelt.verify.inference;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/// A sum for each sequence of text, over all rounds.
final class SequenceSums {

  /// Bytes that a sequence takes at most: its array grows by a half.
  static final long BYTES_PER_SEQUENCE = 3 * Double.BYTES / 2;

  private double[] sums = {};

  /// @param sequence its number among all
  void add(int sequence, double part) {
    if (sequence >= sums.length) {
      sums = Arrays.copyOf(sums, Math.max(sequence + 1, sums.length * 3 / 2));
    }
    sums[sequence] += part;
  }

  double total() {
    double total = 0;
    for (double sum : sums) {
      total += sum;
    }
    return total;
  }

  /// The sum of each document, in the order in which documents first occur.
  ///
  /// @param documents for each sequence so far the number of its document
  double[] of(List<Integer> documents) {
    Map<Integer, Integer> numbers = new HashMap<>();
    double[] byDocument = new double[documents.size()];
    for (int i = 0; i < documents.size(); i++) {
      int number = numbers.merge(documents.get(i), numbers.size(), (known, _) -> known);
      byDocument[number] += i < sums.length ? sums[i] : 0;
    }
    return Arrays.copyOf(byDocument, numbers.size());
  }
}
