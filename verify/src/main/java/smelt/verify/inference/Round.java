package smelt.verify.inference;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.TokenBatch;

/// The hidden states of one round of text on both paths, in the rows that [Comparison] lists.
final class Round implements AutoCloseable {

  /// How often the result's batch holds the text.
  static final int PATHS = 3;

  private final Arena arena = Arena.ofShared();
  private final TokenBatch source;
  private final TokenBatch result;
  private final int firstSequence;

  private Round(
      Function<Arena, TokenBatch> source, List<int[]> texts, int hidden, int firstSequence) {
    List<int[]> paths = new ArrayList<>();
    for (int path = 0; path < PATHS; path++) {
      paths.addAll(texts);
    }
    this.source = source.apply(arena);
    result = TokenBatch.of(arena, paths, hidden);
    this.firstSequence = firstSequence;
  }

  /// A round with a batch of its own for the source.
  ///
  /// @param firstSequence number of the first text among all
  static Round of(List<int[]> texts, int hidden, int firstSequence) {
    return new Round(arena -> TokenBatch.of(arena, texts, hidden), texts, hidden, firstSequence);
  }

  /// A round with a batch that is somebody else's.
  ///
  /// @param source holds the texts
  static Round beside(TokenBatch source, List<int[]> texts, int hidden, int firstSequence) {
    return new Round(_ -> source, texts, hidden, firstSequence);
  }

  /// Bytes of a round's hidden states.
  static long bytes(long tokens, long hidden) {
    return Matrix.bytes(Math.multiplyExact(1 + PATHS, tokens), hidden);
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
    return result.hidden().rows(2 * source.tokens(), source.tokens());
  }

  int firstSequence() {
    return firstSequence;
  }

  /// Gives the source's input of the coming layer to the local rows. They hold it until the result
  /// goes through the layer, so what the source's layer adds can be told without another copy.
  void giveInputToLocal() {
    copy(sourceHidden(), localHidden());
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
