package smelt.verify;

import java.io.IOException;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import smelt.formats.source.ModelSource;
import tools.jackson.databind.JsonNode;

/// Ascend's `quant_model_description.json`: a quantization type for each tensor's name, among a few
/// header keys.
///
/// @param file older writers put the type into the file's name
/// @param modelType `model_quant_type`
/// @param types the type of each tensor, such as `FLOAT` or `W8A8_DYNAMIC`
record Description(String file, Optional<String> modelType, Map<String, String> types) {

  static final String PREFIX = "quant_model_description";
  private static final long LIMIT = 256L << 20;
  private static final Set<String> HEADER_KEYS =
      Set.of(
          "model_quant_type",
          "version",
          "group_size",
          "kv_quant_type",
          "kv_cache_type",
          "fa_quant_type",
          "reduce_quant_type",
          "metadata",
          "optional",
          "is_rot_used");

  static Document<Description> read(ModelSource source) throws IOException {
    for (String name : source.names()) {
      if (name.startsWith(PREFIX) && name.endsWith(".json") && name.indexOf('/') < 0) {
        return Json.read(source, name, LIMIT, root -> parse(name, root));
      }
    }
    return new Document.Absent<>();
  }

  private static Description parse(String file, JsonNode root) {
    Map<String, String> types = new TreeMap<>();
    for (Map.Entry<String, JsonNode> entry : root.properties()) {
      if (HEADER_KEYS.contains(entry.getKey())) {
        continue;
      }
      if (!entry.getValue().isString()) {
        throw new IllegalArgumentException(
            "'" + entry.getKey() + "' is " + entry.getValue() + ", not a quantization type");
      }
      types.put(entry.getKey(), entry.getValue().stringValue());
    }
    return new Description(file, Json.text(root, "model_quant_type"), types);
  }
}
