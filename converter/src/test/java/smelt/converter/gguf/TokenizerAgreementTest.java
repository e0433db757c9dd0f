package smelt.converter.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import smelt.calibrate.text.Tokenizer;
import smelt.converter.SampleModel;
import smelt.formats.UnsupportedException;
import smelt.formats.gguf.GgmlType;
import smelt.formats.gguf.GgufValue;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// llama.cpp cuts text into the tokens that the model was trained with, whatever known kind of
/// pre-tokenizer it has.
class TokenizerAgreementTest {

  private static final JsonMapper JSON = JsonMapper.builder().build();

  /// As Llama 3 and Qwen 2 publish it, but for how many digits stay together.
  private static final String WORDS =
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|NUMBER"
          + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

  /// Numbers, contractions, spaces, lines, punctuation before letters, scripts without spaces.
  private static final List<String> TEXTS =
      List.of(
          "In the beginning God created the heaven and the earth.",
          "It's 1234567 o'clock, we'LL see; they'd said 12 or 3.14159!",
          "  two spaces,\ttabs\t\tand   three \n\n\n lines\r\nend  ",
          "snake_case(x)=>{return !y;} // #include <stdio.h>",
          "\u4e2d\u6587\u548c\u65e5\u672c\u8a9e\u306e\u6587, caf\u00e9, na\u00efve 2024\u5e7412\u6708",
          "\ud83d\ude00 x\u00b2 + 1\u00bd = ?\u2026 \u2014 (end)");

  @TempDir Path folder;

  private Path model(String number) throws IOException {
    Path model = SampleModel.copy(SampleModel.BF16, folder.resolve("model" + number.length()));
    if (number.isEmpty()) {
      return model;
    }
    Path file = model.resolve("tokenizer.json");
    ObjectNode tree = (ObjectNode) JSON.readTree(Files.readAllBytes(file));
    ObjectNode sequence = (ObjectNode) tree.path("pre_tokenizer");
    ArrayNode steps = (ArrayNode) sequence.path("pretokenizers");
    ObjectNode cut = (ObjectNode) steps.get(0);
    ((ObjectNode) cut.path("pattern")).put("Regex", WORDS.replace("NUMBER", number));
    steps.remove(1);
    steps.remove(1);
    Files.write(file, JSON.writeValueAsBytes(tree));
    return model;
  }

  @ParameterizedTest
  @CsvSource({"'',deepseek-v3", "'\\p{N}{1,3}',llama-bpe", "'\\p{N}',qwen2"})
  void hasTheTokensOfTheModelsOwnTokenizer(String number, String name)
      throws IOException, InterruptedException {
    LlamaClient llama = LlamaClient.install();
    Path model = model(number);
    Path file = folder.resolve(name + ".gguf");
    Exported exported = Exported.of(model, GgmlType.Q8_0, file);
    assertThat(exported.header().metadata())
        .containsEntry("tokenizer.ggml.pre", new GgufValue.Text(name));
    List<List<Integer>> expected = new ArrayList<>();
    try (ModelSource source = ModelSources.open(model);
        Tokenizer tokenizer = Tokenizer.open(source)) {
      TEXTS.forEach(text -> expected.add(IntStream.of(tokenizer.encode(text)).boxed().toList()));
    }
    assertThat(llama.tokenize(file, TEXTS)).isEqualTo(expected);
  }

  @Test
  void refusesOthersNamingThoseThatAreKnown() throws IOException {
    Path model = model("\\p{N}{1,2}");
    assertThatThrownBy(() -> PlannedGguf.of(model, GgmlType.F32))
        .isInstanceOf(UnsupportedException.class)
        .hasMessageContaining("p{N}{1,2}")
        .hasMessageContaining("deepseek-v3, llama-bpe, qwen2");
  }

  @Test
  void tellsOfTextThatTheEngineDoesNotNormalize() throws IOException {
    Path model = model("\\p{N}");
    Path file = model.resolve("tokenizer.json");
    ObjectNode tree = (ObjectNode) JSON.readTree(Files.readAllBytes(file));
    tree.putObject("normalizer").put("type", "NFC");
    Files.write(file, JSON.writeValueAsBytes(tree));
    assertThat(PlannedGguf.of(model, GgmlType.F32).notes())
        .singleElement()
        .asString()
        .contains("NFC");
    tree.putObject("normalizer").put("type", "Lowercase");
    Files.write(file, JSON.writeValueAsBytes(tree));
    assertThatThrownBy(() -> PlannedGguf.of(model, GgmlType.F32))
        .isInstanceOf(UnsupportedException.class)
        .hasMessageContaining("Lowercase");
  }
}
