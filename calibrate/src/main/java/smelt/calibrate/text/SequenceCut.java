package smelt.calibrate.text;

/// How documents become sequences of token ids.
public sealed interface SequenceCut {

  /// Most ids of a sequence that say what a model reads at once.
  int length();

  /// Sequences that lie within one document, from every source in turn, and within a source from
  /// every document in turn: the first piece of the first document of each source, then of the
  /// second ones, and so on; then the second pieces. Where a document begins with the model's begin
  /// token, each of its pieces does. Same corpus, same sequences.
  ///
  /// @param length most ids of a sequence, at least 2
  /// @param tokens most ids of all sequences together
  record Documents(int length, long tokens) implements SequenceCut {
    public Documents {
      require(length, tokens);
    }
  }

  /// All documents in a row, as one stream: begin token, text, end token, as far as the model has
  /// them. Piece `w` is ids `w * length` to `(w + 1) * length`, both included: its last id is only
  /// there to be predicted, and is the first of the next piece. A rest shorter than that is left
  /// out.
  ///
  /// @param length ids that are read, at least 1; a piece has one more
  /// @param tokens most ids that are read, of all pieces together
  record Stream(int length, long tokens) implements SequenceCut {
    public Stream {
      require(length + 1, tokens);
    }
  }

  private static void require(int length, long tokens) {
    if (length < 2 || tokens < 1) {
      throw new IllegalArgumentException(tokens + " tokens in sequences of " + length);
    }
  }
}
