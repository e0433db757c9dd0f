package smelt.calibrate.text;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.formats.BadInputException;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

class SpecialTokensTest {

  @TempDir Path folder;

  @Test
  void theSamplesOwnFilesNameItsTokens() throws IOException {
    try (Tokenizer tokenizer = Samples.tokenizer()) {
      SpecialTokens special = Samples.special(tokenizer);
      assertThat(special.begin()).hasValue(Samples.BEGIN);
      assertThat(special.ends()).containsExactly(Samples.END);
      assertThat(special.isEnd(Samples.END)).isTrue();
      assertThat(special.isEnd(Samples.BEGIN)).isFalse();
    }
  }

  @Test
  void addBosTokenDecidesWhetherThereIsABegin() throws IOException {
    assertThat(special("{\"add_bos_token\": false, \"bos_token\": \"!\"}", "{}").begin()).isEmpty();
    assertThat(special("{\"add_bos_token\": true, \"bos_token\": \"!\"}", "{}").begin())
        .hasValue(3);
    assertThat(special("{\"add_bos_token\": true, \"bos_token\": null}", "{}").begin()).hasValue(0);
    assertThatThrownBy(
            () -> special("{\"add_bos_token\": true, \"bos_token\": \"two words\"}", "{}"))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("bos_token 'two words'");
  }

  @Test
  void withoutThatKeyTheTokenizersOwnTemplateDecides() throws IOException {
    assertThat(special("{}", "{}").begin()).isEmpty();
    String template =
        """
        {"type": "TemplateProcessing",
         "single": [{"SpecialToken": {"id": "begin", "type_id": 0}},
                    {"Sequence": {"id": "A", "type_id": 0}}],
         "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
         "special_tokens": {"begin": {"id": "begin", "ids": [2], "tokens": ["begin"]}}}
        """;
    String json = Files.readString(Samples.model().resolve(Tokenizer.FILE));
    int at = json.indexOf("\"post_processor\":");
    int end = json.indexOf("\"decoder\":");
    String changed =
        json.substring(0, at) + "\"post_processor\": " + template + ", " + json.substring(end);
    try (Tokenizer tokenizer = Tokenizer.parse(Tokenizer.FILE, changed.getBytes(UTF_8));
        ModelSource source = source("{}", "{}")) {
      assertThat(SpecialTokens.of(source, Optional.of(tokenizer)).begin()).hasValue(2);
      assertThat(tokenizer.encode("a")).hasSize(1);
    }
  }

  @Test
  void severalEndsAreKnownAndTheFirstFileThatNamesAnyDecides() throws IOException {
    assertThat(special("{}", "{\"eos_token_id\": [7, 9]}").ends()).containsExactly(7, 9);
    assertThat(special("{}", "{\"eos_token_id\": 8}").ends()).containsExactly(8);
    assertThat(special("{}", "{}").ends()).containsExactly(1);
  }

  @Test
  void aTokenOutsideOfTheVocabularyIsRefused() {
    assertThatThrownBy(() -> special("{}", "{\"eos_token_id\": 1536}"))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("id 1536")
        .hasMessageContaining("vocab_size 1536");
  }

  @Test
  void withoutATokenizerNothingIsPutInFront() throws IOException {
    try (ModelSource source = source("{\"add_bos_token\": true, \"bos_token\": \"!\"}", "{}")) {
      SpecialTokens special = SpecialTokens.of(source, Optional.empty());
      assertThat(special).isEqualTo(new SpecialTokens(OptionalInt.empty(), List.of(1)));
    }
  }

  private SpecialTokens special(String tokenizerConfig, String generationConfig)
      throws IOException {
    try (Tokenizer tokenizer = Samples.tokenizer();
        ModelSource source = source(tokenizerConfig, generationConfig)) {
      return SpecialTokens.of(source, Optional.of(tokenizer));
    }
  }

  private ModelSource source(String tokenizerConfig, String generationConfig) throws IOException {
    Files.writeString(folder.resolve("tokenizer_config.json"), tokenizerConfig);
    Files.writeString(folder.resolve("generation_config.json"), generationConfig);
    Files.writeString(
        folder.resolve("config.json"), Files.readString(Samples.model().resolve("config.json")));
    return ModelSources.open(folder);
  }
}
