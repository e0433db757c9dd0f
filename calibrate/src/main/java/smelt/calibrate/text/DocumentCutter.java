package smelt.calibrate.text;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.OptionalInt;
import java.util.SortedMap;
import java.util.TreeMap;

/// Cuts sequences within documents, from every source and every document in turn, see
/// [SequenceCut.Documents].
final class DocumentCutter {

  /// Ids that are kept from one turn to the next, so that a document need not be tokenized again.
  private static final long KEPT_IDS = 4 << 20;

  /// A document that has more to give.
  private static final class Open {
    private final Corpus.Entry entry;
    private int next;
    private int[] kept = {};

    private Open(Corpus.Entry entry) {
      this.entry = entry;
    }
  }

  private final DocumentIds documents;
  private final OptionalInt begin;
  private final SequenceCut.Documents by;
  private final Deque<Deque<Open>> sources = new ArrayDeque<>();
  private long keptIds;

  DocumentCutter(
      Corpus corpus, DocumentIds documents, SpecialTokens special, SequenceCut.Documents by) {
    this.documents = documents;
    this.by = by;
    begin = special.begin();
    SortedMap<String, Deque<Open>> bySource = new TreeMap<>();
    for (Corpus.Entry entry : corpus.entries()) {
      bySource.computeIfAbsent(entry.source(), _ -> new ArrayDeque<>()).add(new Open(entry));
    }
    sources.addAll(bySource.values());
  }

  void cut(TokenSequences into) throws IOException {
    while (!sources.isEmpty() && by.tokens() - into.tokens() >= 2) {
      Deque<Open> source = sources.remove();
      Open document = source.remove();
      int[] ids = ids(document);
      int[] piece = piece(ids, document, by.tokens() - into.tokens());
      if (piece.length >= 2) {
        into.add(piece, document.entry);
      }
      if (document.next < ids.length) {
        keep(document, ids);
        source.add(document);
      } else {
        keptIds -= document.kept.length;
      }
      if (!source.isEmpty()) {
        sources.add(source);
      }
    }
  }

  private int[] ids(Open document) throws IOException {
    return document.kept.length > 0 ? document.kept : documents.of(document.entry, false);
  }

  private void keep(Open document, int[] ids) {
    if (document.kept.length == 0 && keptIds + ids.length <= KEPT_IDS) {
      document.kept = ids;
      keptIds += ids.length;
    }
  }

  /// The next piece of a document; moves its `next` behind it.
  private int[] piece(int[] ids, Open document, long room) {
    int most = Math.toIntExact(Math.min(by.length(), room));
    boolean repeats =
        document.next > 0 && begin.isPresent() && ids.length > 0 && ids[0] == begin.getAsInt();
    int own = Math.min(most - (repeats ? 1 : 0), ids.length - document.next);
    int[] body = Arrays.copyOfRange(ids, document.next, document.next + own);
    document.next += own;
    if (!repeats) {
      return body;
    }
    int[] piece = new int[own + 1];
    piece[0] = begin.getAsInt();
    System.arraycopy(body, 0, piece, 1, own);
    return piece;
  }
}
