package smelt.calibrate.model;

import smelt.calibrate.math.Matrix;

/// Consecutive sequences of a batch, from `first` to before `end`.
record Span(TokenBatch batch, int first, int end) {

  long tokens() {
    return batch.first(end - 1) + batch.length(end - 1) - batch.first(first);
  }

  int longest() {
    int longest = 0;
    for (int s = first; s < end; s++) {
      longest = Math.max(longest, batch.length(s));
    }
    return longest;
  }

  Matrix hidden() {
    return batch.hidden().rows(batch.first(first), tokens());
  }

  /// The rows of a sequence in a matrix that has a row for each token of the span.
  Matrix rowsOf(int sequence, Matrix all) {
    return all.rows(batch.first(sequence) - batch.first(first), batch.length(sequence));
  }
}
