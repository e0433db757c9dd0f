package smelt.verify.inference;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.TokenBatch;

/// The hidden states of one round of text on both paths, in the rows that [Comparison] lists.
final class Round implements AutoCloseable {

  private final Arena arena = Arena.ofShared();
  private final TokenBatch source;
  private final TokenBatch result;
  private final Matrix before;
  private final int localSequences;

  /// @param localTokens tokens to compare locally, at most
  Round(List<int[]> texts, int hidden, long localTokens) {
    List<int[]> local = prefixes(texts, localTokens);
    List<int[]> both = new ArrayList<>(texts);
    both.addAll(texts);
    both.addAll(local);
    source = TokenBatch.of(arena, texts, hidden);
    result = TokenBatch.of(arena, both, hidden);
    localSequences = local.size();
    before = Matrix.zeros(arena, local.stream().mapToLong(ids -> ids.length).sum(), hidden);
  }

  /// Bytes of a round's hidden states.
  static long bytes(long tokens, long localTokens, long hidden) {
    long rows = Math.addExact(Math.multiplyExact(3, tokens), Math.multiplyExact(2, localTokens));
    return Matrix.bytes(rows, hidden);
  }

  /// What comes before the end of a text does not depend on what follows, so the beginnings of the
  /// texts have the same hidden states.
  private static List<int[]> prefixes(List<int[]> texts, long tokens) {
    List<int[]> prefixes = new ArrayList<>();
    long left = tokens;
    for (int[] ids : texts) {
      if (left <= 0) {
        break;
      }
      int[] prefix = Arrays.copyOf(ids, (int) Math.min(left, ids.length));
      prefixes.add(prefix);
      left -= prefix.length;
    }
    return prefixes;
  }

  TokenBatch source() {
    return source;
  }

  TokenBatch result() {
    return result;
  }

  Matrix sourceHidden() {
    return source.hidden();
  }

  Matrix freeHidden() {
    return result.hidden().rows(0, source.tokens());
  }

  Matrix forcedHidden() {
    return result.hidden().rows(source.tokens(), source.tokens());
  }

  /// Free and forced.
  Matrix bothHidden() {
    return result.hidden().rows(0, 2 * source.tokens());
  }

  Matrix localHidden() {
    return result.hidden().rows(2 * source.tokens(), localTokens());
  }

  /// The source's rows of the same tokens as [#localHidden]: whole sequences, and the beginning of
  /// the last one, so one run of rows.
  Matrix localSource() {
    return source.hidden().rows(0, localTokens());
  }

  /// What [#localSource] was before the layer.
  Matrix before() {
    return before;
  }

  long localTokens() {
    return before.rows();
  }

  int localSequences() {
    return localSequences;
  }

  /// Remembers the source's input of the coming layer, and gives it to the local rows.
  void beginLayer() {
    copy(localSource(), before);
    copy(before, localHidden());
  }

  private static void copy(Matrix from, Matrix to) {
    for (long row = 0; row < from.rows(); row++) {
      MemorySegment.copy(
          from.data(), from.at(row, 0), to.data(), to.at(row, 0), Matrix.bytes(1, from.cols()));
    }
  }

  @Override
  public void close() {
    arena.close();
  }
}
