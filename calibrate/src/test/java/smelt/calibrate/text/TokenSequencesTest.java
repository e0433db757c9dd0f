package smelt.calibrate.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.formats.BadInputException;
import smelt.formats.Checkout;
import smelt.formats.UnsupportedException;
import smelt.formats.files.Sha256;

class TokenSequencesTest {

  private static Tokenizer tokenizer;
  private static SpecialTokens special;

  @TempDir Path folder;

  @BeforeAll
  static void open() throws IOException {
    tokenizer = Samples.tokenizer();
    special = Samples.special(tokenizer);
  }

  @AfterAll
  static void close() {
    tokenizer.close();
  }

  @Test
  void theStreamOfTheTestSplitIsTokenForTokenTheGoldenOne() throws IOException {
    Path file = Checkout.golden("tiny-deepseek-v3/test.jsonl");
    int[] golden = Samples.numbers(Checkout.golden("tiny-deepseek-v3/test_tokens.npy"));
    assertThat(golden).hasSize(232_296);
    int length = golden.length - 1;
    TokenSequences whole = cut(file, new SequenceCut.Stream(length, length));
    assertThat(whole.ids()).hasSize(1);
    assertThat(Arrays.equals(whole.ids().getFirst(), golden)).isTrue();
    TokenSequences windows = cut(file, new SequenceCut.Stream(256, Long.MAX_VALUE));
    assertThat(windows.ids()).hasSize(907);
    for (int w = 0; w < 907; w++) {
      assertThat(windows.ids().get(w))
          .isEqualTo(Arrays.copyOfRange(golden, 256 * w, 256 * w + 257));
    }
    assertThat(cut(file, new SequenceCut.Stream(256, 8192)).ids()).hasSize(32);
  }

  @Test
  void documentsAreCutFromEverySourceInTurnAndBeginWithTheBeginToken() throws IOException {
    Path file = Samples.corpus("heldout.jsonl");
    TokenSequences found = cut(file, new SequenceCut.Documents(256, 20_000));
    assertThat(found.tokens()).isBetween(19_999L, 20_000L);
    assertThat(found.tokens()).isEqualTo(found.ids().stream().mapToLong(s -> s.length).sum());
    assertThat(found.ids())
        .allSatisfy(s -> {
          assertThat(s[0]).isEqualTo(Samples.BEGIN);
          assertThat(s.length).isBetween(2, 256);
          assertThat(IntStream.of(s).skip(1)).doesNotContain(Samples.BEGIN, Samples.END);
        });
    int sources = new HashSet<>(found.sources()).size();
    assertThat(new HashSet<>(found.sources().subList(0, sources))).hasSize(sources);
    TreeMap<String, Long> each =
        found.sources().stream()
            .collect(Collectors.groupingBy(s -> s, TreeMap::new, Collectors.counting()));
    assertThat(each).hasSizeGreaterThan(4);
    assertThat(found.digests()).containsValue(Sha256.hex(Files.readAllBytes(file)));
    assertThat(cut(file, new SequenceCut.Documents(256, 20_000)).ids())
        .usingRecursiveFieldByFieldElementComparator()
        .isEqualTo(found.ids());
  }

  @Test
  void withoutALimitEveryTokenOfEveryDocumentIsThereOnce() throws IOException {
    Path file =
        write(
            "c.jsonl",
            """
            {"source": "a", "id": "a1", "text": "one two three four five six seven eight nine ten"}
            {"source": "b", "id": "b1", "text": "short"}
            {"source": "a", "id": "a2", "text": "another document that has some more words in it"}
            {"source": "a", "id": "a3", "text": ""}
            """);
    TokenSequences found = cut(file, new SequenceCut.Documents(5, Long.MAX_VALUE));
    assertThat(found.documents()).startsWith("a1", "b1", "a2", "a1", "a2");
    assertThat(found.clusters()).startsWith(0, 1, 2, 0, 2);
    for (String name : List.of("a1", "a2", "b1")) {
      List<Integer> own = new ArrayList<>();
      for (int i = 0; i < found.ids().size(); i++) {
        if (found.documents().get(i).equals(name)) {
          IntStream.of(found.ids().get(i)).skip(1).forEach(own::add);
        }
      }
      String text =
          Files.readAllLines(file).stream().filter(l -> l.contains(name)).findFirst().orElseThrow();
      assertThat(text).contains(tokenizer.decode(own.stream().mapToInt(i -> i).toArray()));
      assertThat(own.size()).isGreaterThan(name.equals("b1") ? 1 : 8);
    }
  }

  @Test
  void givenIdsAreTakenAsTheyAre() throws IOException {
    Path file = write("ids.jsonl", "[5, 6, 7, 8, 9]\n[0, 1, 2, 3, 4]\n[]\n[9]\n");
    try (Corpus corpus = Corpus.open(List.of(file))) {
      SpecialTokens begins = new SpecialTokens(OptionalInt.of(0), List.of(1));
      TokenSequences found =
          TokenSequences.cut(
              corpus, Optional.empty(), begins, 10, new SequenceCut.Documents(3, 100));
      assertThat(found.ids())
          .containsExactly(
              new int[] {5, 6, 7}, new int[] {0, 1, 2}, new int[] {8, 9}, new int[] {0, 3, 4});
      TokenSequences stream =
          TokenSequences.cut(corpus, Optional.empty(), begins, 10, new SequenceCut.Stream(5, 100));
      assertThat(stream.ids())
          .containsExactly(new int[] {5, 6, 7, 8, 9, 0}, new int[] {0, 1, 2, 3, 4, 9});
    }
  }

  @Test
  void anIdOutsideOfTheVocabularyIsNamedWithItsLine() throws IOException {
    Path file = write("ids.jsonl", "[1]\n[1, 1536]\n");
    assertThatThrownBy(() -> cut(file, new SequenceCut.Documents(8, 100)))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("ids.jsonl line 2: found token id 1536")
        .hasMessageContaining("vocab_size 1536");
  }

  @Test
  void textForAModelWithoutATokenizerIsRefused() throws IOException {
    Path file = write("t.txt", "text");
    try (Corpus corpus = Corpus.open(List.of(file))) {
      SpecialTokens none = new SpecialTokens(OptionalInt.empty(), List.of());
      assertThatThrownBy(() ->
              TokenSequences.cut(
                  corpus, Optional.empty(), none, 10, new SequenceCut.Documents(3, 100)))
          .isInstanceOf(UnsupportedException.class)
          .hasMessageContaining("t.txt line 1")
          .hasMessageContaining("token ids");
    }
  }

  @Test
  void halfACharacterInAJsonLineIsNamed() throws IOException {
    Path file = write("c.jsonl", "{\"text\": \"ab\\ud83d\"}\n");
    assertThatThrownBy(() -> cut(file, new SequenceCut.Documents(8, 100)))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("c.jsonl line 1, text at character 2");
  }

  @Test
  void aCorpusThatIsTooShortIsRefused() throws IOException {
    assertThatThrownBy(
            () -> cut(write("ids.jsonl", "[]\n[3]\n"), new SequenceCut.Documents(8, 100)))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("no document that is long enough");
    assertThatThrownBy(() -> cut(write("a.txt", "a b"), new SequenceCut.Stream(256, 256)))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("257 tokens");
  }

  private Path write(String name, String content) throws IOException {
    return Files.writeString(folder.resolve(name), content);
  }

  private static TokenSequences cut(Path file, SequenceCut cut) throws IOException {
    try (Corpus corpus = Corpus.open(List.of(file))) {
      return TokenSequences.cut(corpus, Optional.of(tokenizer), special, Samples.VOCABULARY, cut);
    }
  }
}
