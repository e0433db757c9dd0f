package smelt.calibrate.text;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import smelt.formats.BadInputException;
import smelt.formats.Problem;

/// Documents to run a model on, from files of text or of JSON lines.
///
/// A JSON line is `{"text": "..."}`, or for a model without a tokenizer `{"ids": [...]}` or just
/// `[...]`; `id` names the document, `source` says what it was taken from, other keys are ignored.
/// Plain text is one document, or several if it is long. All is UTF-8.
///
/// Opening reads the files through once, so that every faulty line is known before any work begins;
/// documents are then read one by one, and their texts are never all in memory. For one thread.
public final class Corpus implements AutoCloseable {

  /// One document, not yet read.
  record Entry(CorpusFile file, CorpusFile.Place place) {
    String name() {
      return place.name();
    }

    String source() {
      return place.source();
    }

    /// What pieces of one document have in common; empty for plain text, which has no documents.
    Optional<String> document() {
      return file.hasDocuments() ? Optional.of(file.path() + "\n" + name()) : Optional.empty();
    }

    DocumentText read() throws IOException {
      return file.read(place);
    }

    /// For messages.
    String where() {
      return file.path() + " line " + place.line();
    }
  }

  private final List<CorpusFile> files;
  private final List<Entry> entries = new ArrayList<>();

  private Corpus(List<CorpusFile> files) {
    this.files = files;
    for (CorpusFile file : files) {
      file.places().forEach(place -> entries.add(new Entry(file, place)));
    }
  }

  /// Opens some files, in this order.
  ///
  /// @throws BadInputException naming file and line of all that is wrong, or if there is no
  ///   document
  public static Corpus open(List<Path> paths) throws IOException {
    List<CorpusFile> files = new ArrayList<>();
    List<Problem> problems = new ArrayList<>();
    Corpus corpus = new Corpus(files);
    try {
      for (Path path : paths) {
        files.add(CorpusFile.open(path, problems));
      }
      if (problems.isEmpty() && files.stream().allMatch(f -> f.places().isEmpty())) {
        problems.add(
            new Problem(paths.toString(), "no document", "at least one", "name a file with text"));
      }
      if (!problems.isEmpty()) {
        throw new BadInputException(problems);
      }
      return new Corpus(files);
    } catch (IOException | RuntimeException e) {
      corpus.close();
      throw e;
    }
  }

  /// Number of documents.
  public int documents() {
    return entries.size();
  }

  /// SHA-256 of each file, as hex, in the order in which they were named.
  public Map<Path, String> digests() {
    Map<Path, String> digests = new LinkedHashMap<>();
    files.forEach(file -> digests.put(file.path(), file.sha256()));
    return Collections.unmodifiableMap(digests);
  }

  /// The documents, in the order of the files and of their lines.
  List<Entry> entries() {
    return Collections.unmodifiableList(entries);
  }

  @Override
  public void close() throws IOException {
    for (CorpusFile file : files) {
      file.close();
    }
  }
}
