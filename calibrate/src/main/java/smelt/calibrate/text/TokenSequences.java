package smelt.calibrate.text;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import smelt.formats.BadInputException;
import smelt.formats.UnsupportedException;

/// Sequences of token ids that were cut from a corpus, each with the document it is from.
public final class TokenSequences {

  private final List<int[]> ids = new ArrayList<>();
  private final List<String> documents = new ArrayList<>();
  private final List<Integer> clusters = new ArrayList<>();
  private final Map<String, Integer> clusterOf = new HashMap<>();
  private final List<String> sources = new ArrayList<>();
  private final Map<Path, String> digests;
  private long tokens;
  private int ofPlainText;

  TokenSequences(Map<Path, String> digests) {
    this.digests = digests;
  }

  /// Cuts a corpus.
  ///
  /// @param tokenizer the model's; empty when it has none, then the corpus must hold ids
  /// @param special the model's
  /// @param vocabulary number of ids that the model knows
  /// @throws BadInputException if an id lies outside of the vocabulary, or there is nothing to cut
  /// @throws UnsupportedException if there is text but no tokenizer
  public static TokenSequences cut(
      Corpus corpus,
      Optional<Tokenizer> tokenizer,
      SpecialTokens special,
      int vocabulary,
      SequenceCut cut)
      throws IOException {
    TokenSequences sequences = new TokenSequences(corpus.digests());
    DocumentIds documents = new DocumentIds(tokenizer, special, vocabulary);
    switch (cut) {
      case SequenceCut.Documents by ->
          new DocumentCutter(corpus, documents, special, by).cut(sequences);
      case SequenceCut.Stream by -> new StreamCutter(corpus, documents, by).cut(sequences);
    }
    if (sequences.ids.isEmpty()) {
      throw new BadInputException(
          corpus.digests().keySet().toString(),
          "no document that is long enough",
          cut instanceof SequenceCut.Stream stream
              ? stream.length() + 1 + " tokens"
              : "a document of two tokens",
          "give more text");
    }
    return sequences;
  }

  /// The sequences. Nobody changes them.
  public List<int[]> ids() {
    return Collections.unmodifiableList(ids);
  }

  /// For each sequence the name of the document that it begins in.
  public List<String> documents() {
    return Collections.unmodifiableList(documents);
  }

  /// For each sequence the number of its document: pieces of one document have the same, since they
  /// depend on each other. Plain text has no documents, so there each sequence has its own.
  public List<Integer> clusters() {
    return Collections.unmodifiableList(clusters);
  }

  /// How many of the sequences are pieces of plain text.
  public int ofPlainText() {
    return ofPlainText;
  }

  /// For each sequence what its document was taken from.
  public List<String> sources() {
    return Collections.unmodifiableList(sources);
  }

  /// SHA-256 of each file of the corpus.
  public Map<Path, String> digests() {
    return digests;
  }

  /// Ids of all sequences together.
  public long tokens() {
    return tokens;
  }

  /// Ids of the longest sequence.
  public int longest() {
    return ids.stream().mapToInt(s -> s.length).max().orElse(0);
  }

  void add(int[] sequence, Corpus.Entry document) {
    String own = "sequence " + ids.size();
    clusters.add(clusterOf.computeIfAbsent(document.document().orElse(own), _ -> clusterOf.size()));
    ofPlainText += document.document().isEmpty() ? 1 : 0;
    ids.add(sequence);
    documents.add(document.name());
    sources.add(document.source());
    tokens += sequence.length;
  }
}
