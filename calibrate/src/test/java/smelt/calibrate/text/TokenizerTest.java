package smelt.calibrate.text;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import smelt.formats.BadInputException;
import smelt.formats.Checkout;
import smelt.formats.UnsupportedException;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class TokenizerTest {

  private static Tokenizer tokenizer;

  @TempDir Path folder;

  @BeforeAll
  static void open() throws IOException {
    tokenizer = Samples.tokenizer();
  }

  @AfterAll
  static void close() {
    tokenizer.close();
  }

  @Test
  void idsAreThoseThatTheModelWasTrainedWith() throws IOException {
    Path file = Checkout.golden("tiny-deepseek-v3/sequences.json");
    for (JsonNode sequence : JsonMapper.shared().readTree(Files.readString(file))) {
      int[] ids = sequence.get("ids").valueStream().mapToInt(JsonNode::intValue).toArray();
      String text = sequence.get("text").stringValue();
      assertThat(ids[0]).isEqualTo(Samples.BEGIN);
      int[] own = Arrays.copyOfRange(ids, 1, ids.length);
      assertThat(tokenizer.decode(own)).as(sequence.get("name").stringValue()).isEqualTo(text);
      if (sequence.get("token_offset_in_doc").intValue() == 1) {
        assertThat(tokenizer.encode(text)).startsWith(Arrays.copyOf(own, own.length - 4));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        " ",
        "   three blanks in front and behind   ",
        "\r\n\r\n\tlines\n\n\n and \u000b others\u0085\u2028",
        "a\0b",
        "0123456789 1234567890123 ١٢٣",
        "Ünïcödé, Ω ≈ ç√∫, e\u0301",
        "漢字かなカナ交じり文",
        "👩‍👩‍👧‍👦 🏳️‍🌈 \uD834\uDD1E",
        "\uFFFD\uFFFF\uFEFF",
        "<｜begin▁of▁sentence｜>a special token<｜end▁of▁sentence｜>",
        "{\"json\": [1, 2.5e-3, null]} <|im_start|> </s> [CLS]",
      })
  void whatIsDecodedIsWhatWasEncoded(String text) {
    int[] ids = tokenizer.encode(text);
    assertThat(tokenizer.decode(ids)).isEqualTo(text);
    assertThat(streamed(ids)).isEqualTo(text);
  }

  @Test
  void randomTextsAndRandomIdsStreamAsTheyDecode() {
    long seed = 7;
    Random random = new Random(seed);
    for (int i = 0; i < 200; i++) {
      int[] points =
          random
              .ints(random.nextInt(60), 0, 0x11000)
              .map(c -> c < 0x10000 ? c % 0x500 : 0x1F600 + c % 64)
              .toArray();
      String text = new String(points, 0, points.length);
      int[] ids = tokenizer.encode(text);
      assertThat(tokenizer.decode(ids)).as("seed %d text %d", seed, i).isEqualTo(text);
      assertThat(streamed(ids)).isEqualTo(text);
      int[] junk = random.ints(random.nextInt(300), 3, 400).toArray();
      assertThat(streamed(junk)).as("seed %d ids %d", seed, i).isEqualTo(tokenizer.decode(junk));
    }
  }

  @Test
  void aSplitCharacterComesOnlyWhenItIsWhole() {
    int[] ids = tokenizer.encode("😀");
    assertThat(ids.length).isGreaterThan(1);
    TokenStream stream = tokenizer.stream();
    for (int i = 0; i < ids.length - 1; i++) {
      assertThat(stream.next(ids[i])).isEmpty();
    }
    assertThat(stream.next(ids[ids.length - 1])).isEqualTo("😀");
    assertThat(stream.next(ids[0])).isEmpty();
    assertThat(stream.finish()).isEqualTo("\uFFFD");
    assertThat(stream.next(tokenizer.encode("x")[0])).isEqualTo("x");
  }

  @Test
  void aTextLongerThanTheModelsContextIsNotCut() {
    String text = "no truncation ".repeat(20_000);
    assertThat(tokenizer.encode(text).length).isGreaterThan(40_000);
    assertThat(tokenizer.decode(tokenizer.encode(text))).isEqualTo(text);
  }

  @Test
  void refusesHalfOfASurrogatePair() {
    for (String text : List.of("ab\uD83D", "ab\uDE00c", "ab\uD83Dx", "ab\uDE00\uD83D")) {
      assertThatThrownBy(() -> tokenizer.encode(text))
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining("character 2");
    }
  }

  @Test
  void idsOutsideOfTheVocabularyGiveNothing() {
    assertThat(tokenizer.decode(Integer.MAX_VALUE, 500_000)).isEmpty();
    assertThatThrownBy(() -> tokenizer.decode(-1)).isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void manyThreadsGetTheSameIds() throws Exception {
    String text = Files.readString(Samples.corpus("heldout.jsonl")).substring(0, 60_000);
    int[] expected = tokenizer.encode(text);
    try (ExecutorService threads = Executors.newFixedThreadPool(4)) {
      List<Future<int[]>> results = new ArrayList<>();
      for (int i = 0; i < 8; i++) {
        results.add(threads.submit(() -> tokenizer.encode(text)));
      }
      for (Future<int[]> result : results) {
        assertThat(result.get()).isEqualTo(expected);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "{",
        "[]",
        "{\"decoder\": {\"type\": \"ByteLevel\" \"x\"}}",
        "{\"decoder\": {\"type\": \"\\ud800\"}}",
        "{\"decoder\": {\"type\": 1e999}}",
        "{\"decoder\": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
            + "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
        "{} {}",
        "{\"model\": {\"type\": \"Unheard\"}}",
        "{\"version\":\"1.0\",\"added_tokens\":[],\"normalizer\":null,\"pre_tokenizer\":null,"
            + "\"post_processor\":null,\"decoder\":null,\"model\":{\"type\":\"BPE\","
            + "\"vocab\":{\"a\":0},\"merges\":[\"b c\"]}}",
      })
  void refusesADamagedTokenizer(String json) {
    assertThatThrownBy(() -> Tokenizer.parse("tokenizer.json", json.getBytes(UTF_8)))
        .isInstanceOf(BadInputException.class)
        .hasMessageStartingWith("tokenizer.json: found ");
  }

  @Test
  void filesWithFlippedBitsAndMissingEndsAreRefusedOrRead() throws IOException {
    byte[] whole = Files.readAllBytes(Samples.model().resolve(Tokenizer.FILE));
    long seed = 5;
    Random random = new Random(seed);
    int refused = 0;
    for (int i = 0; i < 150; i++) {
      int length = i % 5 == 0 ? random.nextInt(whole.length) : whole.length;
      byte[] damaged = Arrays.copyOf(whole, length);
      if (length > 0) {
        damaged[random.nextInt(Math.min(length, 2500))] ^= (byte) (1 << random.nextInt(8));
      }
      try (Tokenizer other = Tokenizer.parse("tokenizer.json", damaged)) {
        other.decode(other.encode("some text"));
      } catch (BadInputException e) {
        assertThat(e).as("seed %d file %d", seed, i).hasMessageStartingWith("tokenizer.json: ");
        refused++;
      }
    }
    assertThat(refused).isGreaterThan(100);
  }

  @Test
  void refusesAModelWithoutOne() throws IOException {
    Files.copy(Samples.model().resolve("config.json"), folder.resolve("config.json"));
    try (ModelSource source = ModelSources.open(folder)) {
      assertThat(Tokenizer.isIn(source)).isFalse();
      assertThatThrownBy(() -> Tokenizer.open(source))
          .isInstanceOf(UnsupportedException.class)
          .hasMessageContaining("without tokenizer.json")
          .hasMessageContaining("token ids");
    }
  }

  @Test
  void aClosedTokenizerSaysSo() throws IOException {
    Tokenizer other = Samples.tokenizer();
    other.close();
    other.close();
    assertThatThrownBy(() -> other.encode("x")).hasMessageContaining("closed");
  }

  private static String streamed(int[] ids) {
    TokenStream stream = tokenizer.stream();
    StringBuilder text = new StringBuilder();
    for (int id : ids) {
      text.append(stream.next(id));
    }
    return text.append(stream.finish()).toString();
  }
}
