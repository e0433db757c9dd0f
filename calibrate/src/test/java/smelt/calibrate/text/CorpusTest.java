package smelt.calibrate.text;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import smelt.formats.BadInputException;
import smelt.formats.files.Sha256;

class CorpusTest {

  @TempDir Path folder;

  @Test
  void readsTheLinesOfAJsonFileWithTheirNamesAndSources() throws IOException {
    Path file =
        write(
            "c.jsonl",
            """
            {"text": "one", "id": "a", "source": "s", "score": [1, {"x": null}]}

            {"id": 7, "text": "two\\nlines"}
            [1, 2, 3]
            {"ids": [4], "source": "numbers"}\
            """);
    try (Corpus corpus = Corpus.open(List.of(file))) {
      assertThat(corpus.entries())
          .extracting(Corpus.Entry::name)
          .containsExactly("a", "7", "c.jsonl line 4", "c.jsonl line 5");
      assertThat(corpus.entries())
          .extracting(Corpus.Entry::source)
          .containsExactly("s", "c.jsonl", "c.jsonl", "numbers");
      assertThat(text(corpus, 0)).isEqualTo("one");
      assertThat(text(corpus, 1)).isEqualTo("two\nlines");
      assertThat(ids(corpus, 2)).containsExactly(1, 2, 3);
      assertThat(ids(corpus, 3)).containsExactly(4);
      assertThat(corpus.digests())
          .containsExactly(java.util.Map.entry(file, Sha256.hex(Files.readAllBytes(file))));
    }
  }

  @Test
  void aByteOrderMarkIsNoText() throws IOException {
    try (Corpus corpus =
        Corpus.open(List.of(write("a.txt", "\uFEFFx"), write("b.json", "\uFEFF[5]\r\n")))) {
      assertThat(text(corpus, 0)).isEqualTo("x");
      assertThat(ids(corpus, 1)).containsExactly(5);
    }
  }

  @Test
  void aLongPlainTextIsCutAtLineEndsAndNothingIsLost() throws IOException {
    String line = "Äpfel und Birnen, " + "x".repeat(1000) + "\n";
    Path file = write("long.txt", line.repeat(1000) + "end");
    try (Corpus corpus = Corpus.open(List.of(file))) {
      assertThat(corpus.documents()).isEqualTo(4);
      StringBuilder all = new StringBuilder();
      for (int i = 0; i < corpus.documents(); i++) {
        String piece = text(corpus, i);
        all.append(piece);
        assertThat(piece.getBytes(UTF_8).length).isLessThan(CorpusFile.PIECE + 1100);
        assertThat(i == 3 || piece.endsWith("\n")).isTrue();
      }
      assertThat(all.toString()).isEqualTo(Files.readString(file));
      assertThat(corpus.entries().get(0).name()).isEqualTo("long.txt");
      assertThat(corpus.entries().get(1).name()).matches("long.txt from line 2\\d\\d");
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "{\"text\": 5}                    | neither text nor ids",
        "{\"txt\": \"a\"}                 | neither text nor ids",
        "\"just a string\"                | neither text nor ids",
        "{\"text\": \"a\", \"ids\": [1]}  | text and ids",
        "{\"text\": \"a\"                 | Unexpected end-of-input",
        "{\"text\": \"a\"} {}             | Trailing token",
        "{\"text\": \"a\", \"text\": \"b\"} | Duplicate",
        "[1, 2.5]                         | the id 2.5",
        "[1, -1]                          | the id -1",
        "[1, 3000000000]                  | the id 3000000000",
        "plain                            | Unrecognized token",
      })
  void aFaultyLineIsNamed(String line, String found) throws IOException {
    Path file = write("c.jsonl", "{\"text\": \"good\"}\n" + line + "\n[1]\n");
    assertThatThrownBy(() -> Corpus.open(List.of(file)))
        .isInstanceOf(BadInputException.class)
        .hasMessageStartingWith(file + " line 2: found ")
        .hasMessageContaining(found);
  }

  @Test
  void allFaultyLinesOfAllFilesAreNamedAtOnce() throws IOException {
    Path one = write("one.jsonl", "x\n[1]\ny\n");
    Path two = folder.resolve("two.txt");
    Files.write(two, "good\nb\u00e4d\n".getBytes(ISO_8859_1));
    assertThatThrownBy(() -> Corpus.open(List.of(one, two)))
        .isInstanceOfSatisfying(
            BadInputException.class,
            e ->
                assertThat(e.problems())
                    .extracting(p -> p.where())
                    .containsExactly(one + " line 1", one + " line 3", two + " line 2"));
  }

  @Test
  void aHugeLineIsRefusedAndTheNextOneStillRead() throws IOException {
    byte[] huge = new byte[LineReader.LIMIT + 100_000];
    java.util.Arrays.fill(huge, (byte) 'x');
    huge[huge.length - 1] = '\n';
    Path file = folder.resolve("huge.txt");
    Files.write(file, huge);
    Files.writeString(file, "\u0000\n", ISO_8859_1, java.nio.file.StandardOpenOption.APPEND);
    Files.write(file, new byte[] {(byte) 0xFF}, java.nio.file.StandardOpenOption.APPEND);
    assertThatThrownBy(() -> Corpus.open(List.of(file)))
        .isInstanceOfSatisfying(
            BadInputException.class,
            e ->
                assertThat(e.problems())
                    .extracting(p -> p.where() + ": " + p.found())
                    .containsExactly(
                        file + " line 1: more than 16777216 bytes",
                        file + " line 3: bytes that are not UTF-8"));
  }

  @Test
  void aFileWithoutDocumentsIsRefused() throws IOException {
    for (Path file : List.of(write("empty.txt", ""), write("blank.jsonl", "\n \n\n"))) {
      assertThatThrownBy(() -> Corpus.open(List.of(file)))
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining("no document");
    }
    assertThatThrownBy(() -> Corpus.open(List.of(folder)))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("no regular file");
    assertThatThrownBy(() -> Corpus.open(List.of(folder.resolve("none"))))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("nothing there");
  }

  @Test
  void aFileThatChangesWhileReadingIsRefused() throws IOException {
    Path file = write("c.txt", "some text\n");
    try (Corpus corpus = Corpus.open(List.of(file))) {
      Files.writeString(file, "more text\n");
      Files.setLastModifiedTime(file, FileTime.fromMillis(0));
      assertThatThrownBy(() -> text(corpus, 0))
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining("changed while reading");
    }
  }

  private Path write(String name, String content) throws IOException {
    return Files.writeString(folder.resolve(name), content);
  }

  private static String text(Corpus corpus, int document) throws IOException {
    return ((DocumentText.Content.Text) corpus.entries().get(document).read().content()).text();
  }

  private static int[] ids(Corpus corpus, int document) throws IOException {
    return ((DocumentText.Content.Ids) corpus.entries().get(document).read().content())
        .ids()
        .copy();
  }
}
