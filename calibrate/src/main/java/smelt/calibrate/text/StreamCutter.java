package smelt.calibrate.text;

import java.io.IOException;

/// Cuts the stream of all documents, see [SequenceCut.Stream].
final class StreamCutter {

  private final Corpus corpus;
  private final DocumentIds documents;
  private final SequenceCut.Stream by;

  StreamCutter(Corpus corpus, DocumentIds documents, SequenceCut.Stream by) {
    this.corpus = corpus;
    this.documents = documents;
    this.by = by;
  }

  void cut(TokenSequences into) throws IOException {
    long left = by.tokens() / by.length();
    int[] piece = new int[by.length() + 1];
    int filled = 0;
    Corpus.Entry begun = null;
    for (Corpus.Entry entry : corpus.entries()) {
      for (int id : documents.of(entry, true)) {
        if (left == 0) {
          return;
        }
        if (filled == 0 || begun == null) {
          begun = entry;
        }
        piece[filled++] = id;
        if (filled == piece.length) {
          into.add(piece.clone(), begun);
          left--;
          piece[0] = id;
          filled = 1;
          begun = entry;
        }
      }
    }
  }
}
