package smelt.calibrate.model;

import java.lang.foreign.SegmentAllocator;
import java.util.List;
import java.util.function.LongFunction;
import smelt.calibrate.math.Matrix;

/// Several sequences of token ids, and the hidden state of each of their tokens, one sequence after
/// the other. Positions count from 0 in each.
public final class TokenBatch {

  private final List<int[]> sequences;
  private final long[] firsts;
  private final Matrix hidden;

  private TokenBatch(List<int[]> sequences, long[] firsts, Matrix hidden) {
    this.sequences = sequences;
    this.firsts = firsts;
    this.hidden = hidden;
  }

  /// A batch whose hidden states are zero, in memory from `memory`: `4 * tokens * hiddenSize`
  /// bytes.
  ///
  /// @param sequences copied; none empty
  public static TokenBatch of(SegmentAllocator memory, List<int[]> sequences, int hiddenSize) {
    return of(sequences, tokens -> Matrix.zeros(memory, tokens, hiddenSize));
  }

  private static TokenBatch of(List<int[]> sequences, LongFunction<Matrix> hidden) {
    long[] firsts = new long[sequences.size() + 1];
    for (int s = 0; s < sequences.size(); s++) {
      int length = sequences.get(s).length;
      if (length == 0) {
        throw new IllegalArgumentException("sequence " + s + " is empty");
      }
      firsts[s + 1] = Math.addExact(firsts[s], length);
    }
    List<int[]> copies = sequences.stream().map(int[]::clone).toList();
    return new TokenBatch(copies, firsts, hidden.apply(firsts[sequences.size()]));
  }

  /// A batch whose hidden states lie in memory that the caller has, with whatever is in them.
  ///
  /// @param sequences copied; none empty
  /// @param hidden a row for each token
  public static TokenBatch over(Matrix hidden, List<int[]> sequences) {
    TokenBatch batch = of(sequences, _ -> hidden);
    if (hidden.rows() != batch.tokens()) {
      throw new IllegalArgumentException(hidden.rows() + " rows, " + batch.tokens() + " tokens");
    }
    return batch;
  }

  /// Some of the sequences. A view: what runs on it changes this batch.
  ///
  /// @param first number of the first sequence
  /// @param end number of the one behind the last
  public TokenBatch part(int first, int end) {
    long[] own = new long[end - first + 1];
    for (int s = first; s <= end; s++) {
      own[s - first] = firsts[s] - firsts[first];
    }
    Matrix rows = hidden.rows(firsts[first], own[end - first]);
    return new TokenBatch(sequences.subList(first, end), own, rows);
  }

  public int sequences() {
    return sequences.size();
  }

  /// Tokens of all sequences.
  public long tokens() {
    return firsts[sequences.size()];
  }

  /// Number of the first token of a sequence.
  public long first(int sequence) {
    return firsts[sequence];
  }

  public int length(int sequence) {
    return sequences.get(sequence).length;
  }

  /// Length of the longest sequence; 0 for an empty batch.
  public int longest() {
    return sequences.stream().mapToInt(s -> s.length).max().orElse(0);
  }

  /// A copy of the ids of a sequence.
  public int[] ids(int sequence) {
    return sequences.get(sequence).clone();
  }

  /// `[tokens, hidden]`; each layer changes it.
  public Matrix hidden() {
    return hidden;
  }

  /// The hidden states of one sequence, a view.
  public Matrix hidden(int sequence) {
    return hidden.rows(first(sequence), length(sequence));
  }
}
