package smelt.verify.quality;

import java.util.List;
import java.util.stream.IntStream;

/// Scores of every predicted token, in columns. Token `i` is position `position[i]` of sequence
/// `sequence[i]`; its distributions predict `target[i]`. `p` is the source's, `q` the result's; all
/// logarithms are natural.
///
/// | column | meaning |
/// |---|---|
/// | `document` | what is resampled as one: sequences of one document depend on each other |
/// | `kl` | `sum p log(p / q)` over the vocabulary, each path routing by itself; never negative |
/// | `forcedKl` | the same with the source's experts forced on the result |
/// | `logP`, `logQ` | log-probability of the target |
/// | `sameTop` | whether both have the same likeliest token |
/// | `sameTopForced` | the same with the source's experts forced |
/// | `eosShift` | `log q(EOS) - log p(EOS)`; 0 for models without an EOS token |
///
/// The arrays are the record's own: whoever makes one hands them over.
@SuppressWarnings("ArrayRecordComponent")
public record TokenScores(
    int[] sequence,
    int[] document,
    int[] position,
    int[] target,
    double[] kl,
    double[] forcedKl,
    double[] logP,
    double[] logQ,
    boolean[] sameTop,
    boolean[] sameTopForced,
    double[] eosShift) {

  public TokenScores {
    int n = sequence.length;
    boolean fits =
        IntStream.of(
                document.length,
                position.length,
                target.length,
                kl.length,
                forcedKl.length,
                logP.length,
                logQ.length,
                sameTop.length,
                sameTopForced.length,
                eosShift.length)
            .allMatch(length -> length == n);
    if (!fits) {
      throw new IllegalArgumentException("columns of different lengths");
    }
  }

  /// Scores of sequences that are each a document of their own.
  public TokenScores(
      int[] sequence,
      int[] position,
      int[] target,
      double[] kl,
      double[] forcedKl,
      double[] logP,
      double[] logQ,
      boolean[] sameTop,
      boolean[] sameTopForced,
      double[] eosShift) {
    this(
        sequence,
        sequence,
        position,
        target,
        kl,
        forcedKl,
        logP,
        logQ,
        sameTop,
        sameTopForced,
        eosShift);
  }

  /// The same scores of sequences whose documents are known.
  ///
  /// @param documents for each sequence, by its number, the number of its document
  public TokenScores of(List<Integer> documents) {
    return new TokenScores(
        sequence,
        IntStream.of(sequence).map(documents::get).toArray(),
        position,
        target,
        kl,
        forcedKl,
        logP,
        logQ,
        sameTop,
        sameTopForced,
        eosShift);
  }

  /// Number of scored tokens.
  public int size() {
    return sequence.length;
  }
}
