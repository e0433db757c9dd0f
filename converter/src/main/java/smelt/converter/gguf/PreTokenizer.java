package smelt.converter.gguf;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import smelt.formats.UnsupportedException;
import tools.jackson.databind.JsonNode;

/// How a byte-level tokenizer cuts text before it merges, by the engine's name for it. The engine
/// has the cuts of each name built in, so only a tokenizer that cuts at exactly the same places can
/// be written.
enum PreTokenizer {
  /// DeepSeek-V3, V3.1, V3.2 and R1.
  DEEPSEEK_V3(
      "deepseek-v3",
      "\\p{N}{1,3}",
      "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
      "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?"
          + "[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"),
  /// Llama 3: numbers by up to three digits.
  LLAMA_3("llama-bpe", PreTokenizer.words("\\p{N}{1,3}")),
  /// Qwen 2, 2.5 and 3: numbers digit by digit.
  QWEN_2("qwen2", PreTokenizer.words("\\p{N}"));

  private static final Set<String> STEPS = Set.of("Split", "ByteLevel");

  private final String engineName;

  /// Patterns of the cuts in their order, in one text.
  private final String cuts;

  PreTokenizer(String engineName, String... cuts) {
    this.engineName = engineName;
    this.cuts = joined(List.of(cuts));
  }

  /// No pattern has a NUL.
  private static String joined(List<String> cuts) {
    return String.join("\0", cuts);
  }

  private static String words(String number) {
    return "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\\p{L}\\p{N}]?\\p{L}+|"
        + number
        + "| ?[^\\s\\p{L}\\p{N}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+";
  }

  /// What stands in `tokenizer.ggml.pre`.
  String engineName() {
    return engineName;
  }

  /// @param tokenizer the whole of `tokenizer.json`
  /// @throws UnsupportedException for any other, naming those that are known
  static PreTokenizer of(JsonNode tokenizer) {
    JsonNode node = tokenizer.path("pre_tokenizer");
    List<String> cuts = new ArrayList<>();
    for (JsonNode step : node.path("pretokenizers")) {
      String type = step.path("type").asString("");
      boolean same =
          type.equals("Split")
              ? step.path("behavior").asString("").equals("Isolated")
                  && !step.path("invert").asBoolean(false)
              : !step.path("use_regex").asBoolean(true)
                  && !step.path("add_prefix_space").asBoolean(true);
      if (!STEPS.contains(type) || !same) {
        throw unknown("a step " + step);
      }
      if (type.equals("Split")) {
        cuts.add(inOneSpelling(step.path("pattern").path("Regex").asString("")));
      }
    }
    return Arrays.stream(values())
        .filter(known -> known.cuts.equals(joined(cuts)))
        .findFirst()
        .orElseThrow(
            () -> unknown(cuts.isEmpty() ? "type " + node.path("type") : "cuts at " + cuts));
  }

  /// A quote needs no backslash in a pattern, but may have one; ends of lines are written as they
  /// are or with a backslash.
  private static String inOneSpelling(String pattern) {
    return pattern.replace("\\\"", "\"").replace("\\r", "\r").replace("\\n", "\n");
  }

  private static UnsupportedException unknown(String found) {
    String known =
        Arrays.stream(values()).map(PreTokenizer::engineName).collect(Collectors.joining(", "));
    return new UnsupportedException(
        TokenizerMetadata.TOKENIZER + ": a pre-tokenizer with " + found,
        "what llama.cpp calls "
            + known
            + " can be written; without "
            + TokenizerMetadata.TOKENIZER
            + " the file takes token ids only");
  }
}
