package smelt.formats.checkpoint;

import java.io.IOException;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import smelt.formats.BadInputException;
import smelt.formats.source.ModelSource;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// A model's `config.json`: the whole tree, in the file's order, because the config of a result is
/// made from it; and typed accessors for what Smelt needs to know.
///
/// Reading is strict: one JSON object, no duplicate keys, nothing after it, at most [#SIZE_LIMIT]
/// bytes. Accessors name the file and the key when a value is missing or not what it should be.
/// Nothing is changed: [#tree()] hands out copies.
public final class ModelConfig {

  /// The file's name in a model.
  public static final String FILE = "config.json";

  /// Largest file that is read, in bytes.
  public static final long SIZE_LIMIT = 16L << 20;

  private static final JsonMapper MAPPER =
      JsonMapper.builder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  private final String where;
  private final ObjectNode tree;

  private ModelConfig(String where, ObjectNode tree) {
    this.where = where;
    this.tree = tree;
  }

  /// Reads `config.json` of a model.
  ///
  /// @throws BadInputException if there is none, or it is not one strict JSON object
  public static ModelConfig read(ModelSource source) throws IOException {
    if (!source.names().contains(FILE)) {
      throw new BadInputException(
          source.location(),
          "no " + FILE,
          "the model's " + FILE + " beside its weights",
          "copy it from where the model was published");
    }
    return parse(FILE, source.readSmall(FILE, SIZE_LIMIT));
  }

  /// Parses the bytes of a config.
  ///
  /// @param where the file's name, for messages
  /// @throws BadInputException if they are not one strict JSON object
  public static ModelConfig parse(String where, byte[] json) {
    try {
      JsonNode node = MAPPER.readTree(json);
      if (node instanceof ObjectNode object) {
        return new ModelConfig(where, object);
      }
      throw new BadInputException(
          where, "JSON that is not an object", "one JSON object", "repair the file");
    } catch (JacksonException e) {
      throw new BadInputException(
          where, e.getOriginalMessage(), "one JSON object without duplicate keys", "repair it");
    }
  }

  /// The config with another tree.
  public ModelConfig with(ObjectNode changed) {
    return new ModelConfig(where, changed.deepCopy());
  }

  /// A copy of the whole config, for the caller to change.
  public ObjectNode tree() {
    return tree.deepCopy();
  }

  /// `architectures[0]`; empty where the config names none.
  public Optional<String> architectureName() {
    JsonNode first = tree.path("architectures").path(0);
    return first.isString() ? Optional.of(first.stringValue()) : Optional.empty();
  }

  /// `model_type`; empty where the config names none.
  public Optional<String> modelType() {
    return text("model_type");
  }

  public int numHiddenLayers() {
    return requireInt("num_hidden_layers", 1, 10_000);
  }

  public int hiddenSize() {
    return requireInt("hidden_size", 1, 1 << 24);
  }

  public int vocabSize() {
    return requireInt("vocab_size", 1, 1 << 28);
  }

  public int intermediateSize() {
    return requireInt("intermediate_size", 1, 1 << 28);
  }

  /// Width of one routed expert: `moe_intermediate_size`.
  public int moeIntermediateSize() {
    return requireInt("moe_intermediate_size", 1, 1 << 28);
  }

  public int numAttentionHeads() {
    return requireInt("num_attention_heads", 1, 1 << 20);
  }

  /// `num_key_value_heads`, or as many as there are attention heads.
  public int numKeyValueHeads() {
    return positiveInt("num_key_value_heads").orElseGet(this::numAttentionHeads);
  }

  /// `head_dim`, or `hidden_size / num_attention_heads`.
  public int headDim() {
    return positiveInt("head_dim").orElseGet(() -> hiddenSize() / numAttentionHeads());
  }

  /// Routed experts of a mixture-of-experts layer, under any of the names in use:
  /// `n_routed_experts`, `num_experts`, `num_local_experts`; empty for a dense model.
  public OptionalInt routedExperts() {
    for (String key : List.of("n_routed_experts", "num_experts", "num_local_experts")) {
      OptionalInt count = positiveInt(key);
      if (count.isPresent()) {
        return count;
      }
    }
    return OptionalInt.empty();
  }

  /// Shared experts (`n_shared_experts`) of a mixture-of-experts layer; 0 where there are none.
  public int sharedExperts() {
    return optionalInt("n_shared_experts", 0, 1 << 20).orElse(0);
  }

  /// Number of leading layers without experts: `first_k_dense_replace`, 0 by default.
  public int firstDenseLayers() {
    return optionalInt("first_k_dense_replace", 0, 10_000).orElse(0);
  }

  /// Every how many layers one has experts: `moe_layer_freq`, 1 by default.
  public int moeLayerFrequency() {
    return positiveInt("moe_layer_freq").orElse(1);
  }

  /// Layers of multi-token prediction behind the last ordinary one: `num_nextn_predict_layers`.
  public int mtpLayers() {
    return optionalInt("num_nextn_predict_layers", 0, 1000).orElse(0);
  }

  /// `q_lora_rank`; empty where the query has one plain projection (DeepSeek-V2-Lite).
  public OptionalInt qLoraRank() {
    return positiveInt("q_lora_rank");
  }

  public int kvLoraRank() {
    return requireInt("kv_lora_rank", 1, 1 << 24);
  }

  /// `topk_method`, such as `noaux_tc`; empty where the config names none.
  public Optional<String> topkMethod() {
    return text("topk_method");
  }

  /// Whether the head is the embedding: `tie_word_embeddings`, false by default.
  public boolean tiedEmbeddings() {
    return flag("tie_word_embeddings");
  }

  /// `quantization_config`; empty where there is none.
  public Optional<QuantizationConfig> quantization() {
    JsonNode node = tree.path("quantization_config");
    if (absent(node)) {
      return Optional.empty();
    }
    if (!node.isObject()) {
      throw wrong("quantization_config", node, "an object");
    }
    return Optional.of(QuantizationConfig.of(where, node));
  }

  /// A string; empty when the key is absent or null.
  ///
  /// @throws BadInputException if it holds something else
  public Optional<String> text(String key) {
    JsonNode node = tree.path(key);
    if (absent(node)) {
      return Optional.empty();
    }
    if (!node.isString()) {
      throw wrong(key, node, "a string");
    }
    return Optional.of(node.stringValue());
  }

  /// A flag; false when the key is absent or null.
  ///
  /// @throws BadInputException if it holds something else
  public boolean flag(String key) {
    JsonNode node = tree.path(key);
    if (absent(node)) {
      return false;
    }
    if (!node.isBoolean()) {
      throw wrong(key, node, "true or false");
    }
    return node.booleanValue();
  }

  /// A whole number from `least` to `most`.
  ///
  /// @throws BadInputException if the key is absent, null, or holds something else
  public int requireInt(String key, int least, int most) {
    return optionalInt(key, least, most)
        .orElseThrow(() ->
            new BadInputException(
                where,
                "no " + key,
                "a whole number from " + least + " to " + most,
                "use the " + FILE + " that was published with the weights"));
  }

  /// A whole number from `least` to `most`; empty when the key is absent or null.
  ///
  /// @throws BadInputException if it holds something else
  public OptionalInt optionalInt(String key, int least, int most) {
    JsonNode node = tree.path(key);
    if (absent(node)) {
      return OptionalInt.empty();
    }
    boolean fits = node.isIntegralNumber() && node.canConvertToInt();
    if (!fits || node.intValue() < least || node.intValue() > most) {
      throw wrong(key, node, "a whole number from " + least + " to " + most);
    }
    return OptionalInt.of(node.intValue());
  }

  /// A finite number; empty when the key is absent or null.
  ///
  /// @throws BadInputException if it holds something else
  public OptionalDouble number(String key) {
    JsonNode node = tree.path(key);
    if (absent(node)) {
      return OptionalDouble.empty();
    }
    if (!node.isNumber() || !Double.isFinite(node.doubleValue())) {
      throw wrong(key, node, "a finite number");
    }
    return OptionalDouble.of(node.doubleValue());
  }

  /// An object inside the config, such as `rope_scaling`; empty when the key is absent or null. Its
  /// messages name the key.
  ///
  /// @throws BadInputException if it holds something else
  public Optional<ModelConfig> section(String key) {
    JsonNode node = tree.path(key);
    if (absent(node)) {
      return Optional.empty();
    }
    if (node instanceof ObjectNode object) {
      return Optional.of(new ModelConfig(where + ": " + key, object));
    }
    throw wrong(key, node, "an object");
  }

  /// A list of whole numbers; empty when the key is absent or null.
  ///
  /// @throws BadInputException if it holds something else
  public List<Integer> ints(String key) {
    JsonNode node = tree.path(key);
    if (absent(node)) {
      return List.of();
    }
    boolean fits = node.isArray();
    for (JsonNode value : node) {
      fits &= value.isIntegralNumber() && value.canConvertToInt();
    }
    if (!fits) {
      throw wrong(key, node, "a list of whole numbers");
    }
    return node.valueStream().map(JsonNode::intValue).toList();
  }

  private OptionalInt positiveInt(String key) {
    return optionalInt(key, 1, Integer.MAX_VALUE);
  }

  private static boolean absent(JsonNode node) {
    return node.isMissingNode() || node.isNull();
  }

  private BadInputException wrong(String key, JsonNode node, String expected) {
    String value = node.toString();
    String shown = value.length() > 80 ? value.substring(0, 80) + "..." : value;
    return new BadInputException(where, key + " = " + shown, expected, "correct this value");
  }
}
