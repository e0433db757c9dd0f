package smelt.calibrate.text;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Stream;
import smelt.formats.BadInputException;
import smelt.formats.Problem;

/// One file of a corpus: where its documents lie in it. It is read through once when it is opened;
/// after that, documents are read by position.
///
/// A name that ends in `.jsonl`, `.ndjson` or `.json` holds JSON lines; any other is plain text,
/// cut into documents of about [#PIECE] bytes at line ends.
final class CorpusFile implements AutoCloseable {

  /// Bytes of plain text from which on the next line end ends a document.
  static final int PIECE = 256 << 10;

  private static final int MOST_PROBLEMS = 20;
  private static final byte[] BYTE_ORDER_MARK = {(byte) 0xEF, (byte) 0xBB, (byte) 0xBF};

  /// Where a document lies.
  ///
  /// @param name for people: the document's own, or file and line
  /// @param source what it was taken from: the document's own, or the file
  /// @param line the first line, from 1
  record Place(String name, String source, long line, long offset, int length) {}

  private final Path path;
  private final String name;
  private final boolean jsonLines;
  private final FileChannel channel;
  private final long size;
  private final FileTime modified;
  private final List<Place> places = new ArrayList<>();
  private final List<Problem> problems = new ArrayList<>();
  private String sha256 = "";

  private CorpusFile(Path path, FileChannel channel) throws IOException {
    this.path = path;
    this.channel = channel;
    name = String.valueOf(path.getFileName());
    String lower = name.toLowerCase(Locale.ROOT);
    jsonLines = Stream.of(".jsonl", ".ndjson", ".json").anyMatch(lower::endsWith);
    size = channel.size();
    modified = Files.getLastModifiedTime(path);
  }

  /// Opens a file and finds its documents.
  ///
  /// @param problems takes what is wrong with its lines
  static CorpusFile open(Path path, List<Problem> problems) throws IOException {
    if (!Files.isRegularFile(path)) {
      throw new BadInputException(
          path.toString(),
          Files.exists(path) ? "no regular file" : "nothing there",
          "a file of text or of JSON lines",
          "check the path");
    }
    FileChannel channel = FileChannel.open(path, StandardOpenOption.READ);
    try {
      CorpusFile file = new CorpusFile(path, channel);
      file.scan();
      problems.addAll(file.problems);
      return file;
    } catch (IOException | RuntimeException e) {
      channel.close();
      throw e;
    }
  }

  Path path() {
    return path;
  }

  /// Whether each line is a document: what plain text is cut into are none.
  boolean hasDocuments() {
    return jsonLines;
  }

  String sha256() {
    return sha256;
  }

  List<Place> places() {
    return places;
  }

  /// Reads a document again.
  DocumentText read(Place place) throws IOException {
    if (channel.size() != size || !Files.getLastModifiedTime(path).equals(modified)) {
      throw new BadInputException(
          path.toString(),
          "a file that was changed while reading",
          "a file that stays as it is",
          "run again once nothing writes to it");
    }
    ByteBuffer bytes = ByteBuffer.wrap(LineReader.read(channel, place.offset(), place.length()));
    return jsonLines
        ? DocumentText.json(where(place.line()), bytes).orElseThrow()
        : DocumentText.plain(where(place.line()), bytes);
  }

  private void scan() throws IOException {
    LineReader reader = new LineReader(path.toString(), channel);
    boolean more = true;
    while (more && problems.size() < MOST_PROBLEMS) {
      try {
        Optional<LineReader.Line> line = reader.next();
        more = line.isPresent();
        if (more) {
          take(reader, line.get());
        }
      } catch (BadInputException e) {
        problems.addAll(e.problems());
      }
    }
    sha256 = reader.sha256();
  }

  private void take(LineReader reader, LineReader.Line line) {
    ByteBuffer bytes = reader.bytes(line);
    int mark = line.offset() == 0 && startsWithMark(bytes) ? BYTE_ORDER_MARK.length : 0;
    bytes.position(bytes.position() + mark);
    long offset = line.offset() + mark;
    int length = line.length() - mark;
    if (jsonLines) {
      DocumentText.json(where(line.number()), bytes)
          .ifPresent(document ->
              places.add(
                  new Place(
                      document.name().orElse(name + " line " + line.number()),
                      document.source().orElse(name),
                      line.number(),
                      offset,
                      length)));
      return;
    }
    DocumentText.plain(where(line.number()), bytes);
    Place last = places.isEmpty() ? null : places.getLast();
    if (last == null || last.length() >= PIECE) {
      String called = last == null ? name : name + " from line " + line.number();
      places.add(new Place(called, name, line.number(), offset, length));
    } else {
      places.set(
          places.size() - 1,
          new Place(
              last.name(), last.source(), last.line(), last.offset(), last.length() + length));
    }
  }

  private static boolean startsWithMark(ByteBuffer bytes) {
    for (int i = 0; i < BYTE_ORDER_MARK.length; i++) {
      if (i >= bytes.remaining() || bytes.get(bytes.position() + i) != BYTE_ORDER_MARK[i]) {
        return false;
      }
    }
    return true;
  }

  private String where(long line) {
    return path + " line " + line;
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
