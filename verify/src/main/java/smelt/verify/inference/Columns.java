package smelt.verify.inference;

import java.util.List;
import java.util.function.Function;
import java.util.function.IntPredicate;
import java.util.function.IntToDoubleFunction;
import java.util.stream.IntStream;
import smelt.calibrate.model.TokenBatch;
import smelt.formats.BadInputException;
import smelt.verify.quality.TokenScores;

/// The scored tokens of a round: all but the last of each sequence, whose successor is not known.
@SuppressWarnings("ArrayRecordComponent")
record Columns(int[] sequences, int[] positions, int[] targets, long[] rows) {

  /// @param firstSequence number of the batch's first sequence among all
  static Columns of(TokenBatch batch, int firstSequence) {
    int size = Math.toIntExact(batch.tokens() - batch.sequences());
    Columns columns = new Columns(new int[size], new int[size], new int[size], new long[size]);
    int i = 0;
    for (int sequence = 0; sequence < batch.sequences(); sequence++) {
      int[] ids = batch.ids(sequence);
      for (int position = 0; position < ids.length - 1; position++) {
        columns.sequences[i] = firstSequence + sequence;
        columns.positions[i] = position;
        columns.targets[i] = ids[position + 1];
        columns.rows[i] = batch.first(sequence) + position;
        i++;
      }
    }
    return columns;
  }

  int size() {
    return targets.length;
  }

  /// Where a scored token stands in the batch.
  long row(int token) {
    return rows[token];
  }

  TokenScores scores(VocabularySums sums) {
    for (int i = 0; i < size(); i++) {
      if (!sums.sourceIsFinite(i)) {
        throw new BadInputException(
            "the source, sequence " + sequences[i] + ", token " + positions[i],
            "logits that are not finite",
            "finite numbers on real text",
            "check the source: 'smelt check' looks at its weights");
      }
    }
    return new TokenScores(
        sequences,
        positions,
        targets,
        doubles(sums::kl),
        doubles(sums::forcedKl),
        doubles(sums::logP),
        doubles(sums::logQ),
        flags(sums::sameTop),
        flags(sums::sameTopForced),
        doubles(sums::eosShift));
  }

  private double[] doubles(IntToDoubleFunction of) {
    return IntStream.range(0, size()).mapToDouble(of).toArray();
  }

  private boolean[] flags(IntPredicate of) {
    boolean[] flags = new boolean[size()];
    for (int i = 0; i < flags.length; i++) {
      flags[i] = of.test(i);
    }
    return flags;
  }

  /// The scores of several rounds, one behind the other.
  static TokenScores join(List<TokenScores> rounds) {
    return new TokenScores(
        ints(rounds, TokenScores::sequence),
        ints(rounds, TokenScores::position),
        ints(rounds, TokenScores::target),
        doubles(rounds, TokenScores::kl),
        doubles(rounds, TokenScores::forcedKl),
        doubles(rounds, TokenScores::logP),
        doubles(rounds, TokenScores::logQ),
        flags(rounds, TokenScores::sameTop),
        flags(rounds, TokenScores::sameTopForced),
        doubles(rounds, TokenScores::eosShift));
  }

  private static int[] ints(List<TokenScores> rounds, Function<TokenScores, int[]> column) {
    return rounds.stream().map(column).flatMapToInt(IntStream::of).toArray();
  }

  private static double[] doubles(
      List<TokenScores> rounds, Function<TokenScores, double[]> column) {
    return rounds.stream().map(column).flatMapToDouble(java.util.Arrays::stream).toArray();
  }

  private static boolean[] flags(
      List<TokenScores> rounds, Function<TokenScores, boolean[]> column) {
    boolean[] all = new boolean[rounds.stream().mapToInt(TokenScores::size).sum()];
    int at = 0;
    for (TokenScores round : rounds) {
      boolean[] flags = column.apply(round);
      System.arraycopy(flags, 0, all, at, flags.length);
      at += flags.length;
    }
    return all;
  }
}
