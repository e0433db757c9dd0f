package smelt.converter.target;

import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import smelt.formats.codec.ScaleFormat;
import tools.jackson.core.util.DefaultIndenter;
import tools.jackson.core.util.DefaultPrettyPrinter;
import tools.jackson.core.util.Separators;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// The output's `config.json`: the source's, with a `quantization_config` made from what is
/// written, and without what would no longer be true.
///
/// @param target the target
/// @param scales values of the decode scales
/// @param unquantized module names of all linears that stay in high precision, sorted
/// @param listUnquantized whether a `fp8` config lists them: DeepSeek's own loaders know their
///   names
/// @param mtpDropped whether the layers of multi-token prediction are left out
/// @param codeCarried whether the modelling code that `auto_map` names comes along
public record TargetConfig(
    Target target,
    ScaleFormat scales,
    List<String> unquantized,
    boolean listUnquantized,
    boolean mtpDropped,
    boolean codeCarried) {

  private static final JsonNodeFactory JSON = JsonNodeFactory.instance;
  private static final JsonMapper MAPPER = JsonMapper.builder().build();

  public TargetConfig {
    unquantized = List.copyOf(unquantized);
  }

  /// The output config. The source's keys keep their order; `quantization_config` comes last.
  public ObjectNode apply(ObjectNode source) {
    ObjectNode config = source.deepCopy();
    config.remove("quantization_config");
    config.remove("compression_config");
    if (mtpDropped && config.has("num_nextn_predict_layers")) {
      config.put("num_nextn_predict_layers", 0);
    }
    if (!codeCarried) {
      config.remove("auto_map");
    }
    ObjectNode quantization =
        switch (target) {
          case BF16, ASCEND_W8A8 -> null;
          case FP8_BLOCK -> fp8();
          case CT_FP8_BLOCK -> compressedTensors("float-quantized", blockWeights(), groupInputs());
          case CT_FP8_CHANNEL ->
              compressedTensors("float-quantized", channel("float"), tokenInputs("float"));
          case CT_INT8 -> compressedTensors("int-quantized", channel("int"), tokenInputs("int"));
          case CT_W4A16 -> packed(128);
          case RAWINT4 -> packed(32);
          case INT8_CHANNEL -> channelInt8();
          case INT8_BLOCK -> blockInt8();
          case KT_AMX_INT8, KT_AMX_INT4, KT_AOCL_INT8, GGUF ->
              throw new IllegalStateException(target.label() + " has no config");
        };
    if (quantization != null) {
      config.set("quantization_config", quantization);
    }
    return config;
  }

  /// A JSON tree as UTF-8 text: two spaces of indent, `\n`, a final newline.
  public static byte[] pretty(Object tree) {
    DefaultIndenter indenter = new DefaultIndenter("  ", "\n");
    DefaultPrettyPrinter printer =
        new DefaultPrettyPrinter(
                Separators.createDefaultInstance()
                    .withObjectNameValueSpacing(Separators.Spacing.AFTER))
            .withObjectIndenter(indenter)
            .withArrayIndenter(indenter);
    return (MAPPER.writer().with(printer).writeValueAsString(tree) + "\n")
        .getBytes(java.nio.charset.StandardCharsets.UTF_8);
  }

  private ObjectNode fp8() {
    ObjectNode node = JSON.objectNode();
    node.put("activation_scheme", "dynamic");
    node.put("fmt", "e4m3");
    node.put("quant_method", "fp8");
    if (scales == ScaleFormat.UE8M0) {
      node.put("scale_fmt", "ue8m0");
    }
    node.putArray("weight_block_size").add(128).add(128);
    if (listUnquantized) {
      putNames(node, "ignored_layers");
      putNames(node, "modules_to_not_convert");
    }
    return node;
  }

  private ObjectNode blockInt8() {
    ObjectNode node = JSON.objectNode();
    node.put("activation_scheme", "dynamic");
    node.put("quant_method", "blockwise_int8");
    node.putArray("weight_block_size").add(128).add(128);
    if (listUnquantized) {
      putNames(node, "ignored_layers");
    }
    return node;
  }

  private ObjectNode channelInt8() {
    ObjectNode node = JSON.objectNode();
    node.put("activation_scheme", "dynamic");
    putNames(node, "ignore");
    node.put("is_dynamic", true);
    ObjectNode packed = node.putObject("packed_modules_mapping");
    new TreeMap<>(FUSED)
        .forEach((fused, parts) -> parts.forEach(packed.withArrayProperty(fused)::add));
    node.put("quant_method", "w8a8_int8");
    return node;
  }

  /// Modules that loaders fuse: their parts have one scheme.
  public static final Map<String, List<String>> FUSED =
      Map.of(
          "fused_qkv_a_proj_with_mqa", List.of("q_a_proj", "kv_a_proj_with_mqa"),
          "gate_up_proj", List.of("gate_proj", "up_proj"),
          "qkv_proj", List.of("q_proj", "k_proj", "v_proj"));

  private ObjectNode compressedTensors(String format, ObjectNode weights, ObjectNode inputs) {
    ObjectNode node = JSON.objectNode();
    ObjectNode group = node.putObject("config_groups").putObject("group_0");
    group.put("format", format);
    group.set("input_activations", inputs);
    group.putNull("output_activations");
    group.putArray("targets").add("Linear");
    group.set("weights", weights);
    node.put("format", format);
    putNames(node, "ignore");
    node.putNull("kv_cache_scheme");
    node.put("quant_method", "compressed-tensors");
    node.put("quantization_status", "compressed");
    return node;
  }

  private ObjectNode packed(int groupSize) {
    ObjectNode weights = arguments(4, "int", "group", false);
    weights.put("group_size", groupSize);
    return compressedTensors("pack-quantized", weights, null);
  }

  private static ObjectNode blockWeights() {
    ObjectNode node = arguments(8, "float", "block", false);
    node.putArray("block_structure").add(128).add(128);
    return node;
  }

  private static ObjectNode channel(String type) {
    return arguments(8, type, "channel", false);
  }

  private static ObjectNode groupInputs() {
    ObjectNode node = arguments(8, "float", "group", true);
    node.put("group_size", 128);
    return node;
  }

  private static ObjectNode tokenInputs(String type) {
    return arguments(8, type, "token", true);
  }

  private static ObjectNode arguments(int bits, String type, String strategy, boolean dynamic) {
    ObjectNode node = JSON.objectNode();
    node.put("dynamic", dynamic);
    node.put("num_bits", bits);
    node.put("strategy", strategy);
    node.put("symmetric", true);
    node.put("type", type);
    return node;
  }

  private void putNames(ObjectNode node, String key) {
    unquantized.forEach(node.putArray(key)::add);
  }
}
