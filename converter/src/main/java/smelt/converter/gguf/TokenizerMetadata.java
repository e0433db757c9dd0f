package smelt.converter.gguf;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import java.util.SequencedMap;
import smelt.formats.BadInputException;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.ModelConfig;
import smelt.formats.gguf.GgufValue;
import smelt.formats.source.ModelSource;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// The `tokenizer.*` metadata, from `tokenizer.json`, `tokenizer_config.json` and a chat template
/// beside them. A model without `tokenizer.json` gets `tokenizer.ggml.model` = `none`: the engine
/// then takes token ids only.
final class TokenizerMetadata {

  static final String TOKENIZER = "tokenizer.json";
  static final String CONFIG = "tokenizer_config.json";
  static final String TEMPLATE = "chat_template.jinja";

  private static final String GGML = "tokenizer.ggml.";
  private static final long SIZE_LIMIT = 64L << 20;
  private static final JsonMapper MAPPER =
      JsonMapper.builder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  private final ModelSource source;
  private final ModelConfig config;
  private final SequencedMap<String, GgufValue> entries = new LinkedHashMap<>();

  private TokenizerMetadata(ModelSource source, ModelConfig config) {
    this.source = source;
    this.config = config;
  }

  /// @param notes where a missing tokenizer is mentioned
  static SequencedMap<String, GgufValue> of(
      ModelSource source, ModelConfig config, List<String> notes) throws IOException {
    TokenizerMetadata metadata = new TokenizerMetadata(source, config);
    Optional<JsonNode> tokenizer = metadata.json(TOKENIZER);
    if (tokenizer.isPresent()) {
      noteNormalizer(tokenizer.get().path("normalizer"), notes);
      metadata.tokenizer(Vocabulary.of(tokenizer.get(), config.vocabSize()));
    } else {
      metadata.text("model", "none");
      notes.add("the model has no " + TOKENIZER + ": the file has none either, engines take ids");
    }
    return metadata.entries;
  }

  /// The engine takes text of byte-level tokenizers as it is.
  private static void noteNormalizer(JsonNode normalizer, List<String> notes) {
    String type = normalizer.path("type").asString("none");
    switch (type) {
      case "none" -> {}
      case "Sequence" ->
          normalizer.path("normalizers").forEach(step -> noteNormalizer(step, notes));
      case "NFC" ->
          notes.add(
              TOKENIZER
                  + " brings text to the form NFC, llama.cpp does not: text in other forms becomes"
                  + " other tokens");
      default ->
          throw new UnsupportedException(
              TOKENIZER + ": a normalizer of type " + type,
              "llama.cpp takes the text of such tokenizers as it is");
    }
  }

  private void tokenizer(Vocabulary vocabulary) throws IOException {
    JsonNode settings = json(CONFIG).orElse(MAPPER.createObjectNode());
    text("model", "gpt2");
    text("pre", vocabulary.preTokenizer().engineName());
    entries.put(GGML + "tokens", GgufValue.texts(vocabulary.tokens()));
    entries.put(GGML + "token_type", GgufValue.ints(vocabulary.types()));
    entries.put(GGML + "merges", GgufValue.texts(vocabulary.merges()));
    special("bos_token", "bos_token_id", settings, vocabulary);
    special("eos_token", "eos_token_id", settings, vocabulary);
    special("pad_token", "padding_token_id", settings, vocabulary);
    flag("add_bos_token", settings);
    flag("add_eos_token", settings);
    chatTemplates(settings);
  }

  /// The token that the tokenizer's settings name, or else the id of the model's config.
  private void special(String name, String key, JsonNode settings, Vocabulary vocabulary) {
    JsonNode value = settings.path(name);
    JsonNode content = value.isObject() ? value.path("content") : value;
    if (content.isString()) {
      int id =
          vocabulary
              .id(content.stringValue())
              .orElseThrow(() ->
                  new BadInputException(
                      CONFIG,
                      name + " " + content,
                      "a token of " + TOKENIZER,
                      "use the files that were published together"));
      entries.put(GGML + key, new GgufValue.U32(id));
      return;
    }
    JsonNode id = config.tree().path(name + "_id");
    if (id.isIntegralNumber()) {
      int last = vocabulary.tokens().size() - 1;
      config
          .optionalInt(name + "_id", 0, last)
          .ifPresent(number -> entries.put(GGML + key, new GgufValue.U32(number)));
    }
  }

  private void flag(String name, JsonNode settings) {
    if (settings.path(name).isBoolean()) {
      entries.put(GGML + name, new GgufValue.Bool(settings.path(name).booleanValue()));
    }
  }

  /// One template, or several by name, of which `default` is the one.
  private void chatTemplates(JsonNode settings) throws IOException {
    JsonNode template = settings.path("chat_template");
    if (source.names().contains(TEMPLATE)) {
      byte[] bytes = source.readSmall(TEMPLATE, SIZE_LIMIT);
      put("tokenizer.chat_template", new String(bytes, java.nio.charset.StandardCharsets.UTF_8));
    } else if (template.isString()) {
      put("tokenizer.chat_template", template.stringValue());
    } else if (template.isArray()) {
      List<String> names = new ArrayList<>();
      for (JsonNode named : template) {
        String name = named.path("name").asString("");
        String key = "tokenizer.chat_template" + (name.equals("default") ? "" : "." + name);
        put(key, named.path("template").asString(""));
        if (!name.equals("default")) {
          names.add(name);
        }
      }
      if (!names.isEmpty()) {
        entries.put("tokenizer.chat_templates", GgufValue.texts(names));
      }
    }
  }

  private void text(String name, String value) {
    put(GGML + name, value);
  }

  private void put(String key, String value) {
    entries.put(key, new GgufValue.Text(value));
  }

  private Optional<JsonNode> json(String name) throws IOException {
    if (!source.names().contains(name)) {
      return Optional.empty();
    }
    try {
      return Optional.of(MAPPER.readTree(source.readSmall(name, SIZE_LIMIT)));
    } catch (JacksonException e) {
      throw new BadInputException(
          name, e.getOriginalMessage(), "one JSON object without duplicate keys", "repair it");
    }
  }
}
