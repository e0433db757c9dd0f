package smelt.verify;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.OptionalLong;
import smelt.formats.source.ModelSource;
import tools.jackson.databind.JsonNode;

/// `model.safetensors.index.json`: which file holds which tensor.
///
/// @param totalSize the sum of the tensors' bytes, where the index says it
record TensorIndex(OptionalLong totalSize, Map<String, String> fileOf) {

  static final String SUFFIX = ".safetensors.index.json";
  private static final long LIMIT = 256L << 20;

  static Document<TensorIndex> read(ModelSource source) throws IOException {
    for (String name : source.names()) {
      if (name.endsWith(SUFFIX) && name.indexOf('/') < 0) {
        return Json.read(source, name, LIMIT, TensorIndex::parse);
      }
    }
    return new Document.Absent<>();
  }

  private static TensorIndex parse(JsonNode root) {
    JsonNode map = root.path("weight_map");
    if (!map.isObject()) {
      throw new IllegalArgumentException("no 'weight_map' object");
    }
    Map<String, String> fileOf = new LinkedHashMap<>();
    for (Map.Entry<String, JsonNode> entry : map.properties()) {
      if (!entry.getValue().isString()) {
        throw new IllegalArgumentException("no file name for '" + entry.getKey() + "'");
      }
      fileOf.put(entry.getKey(), entry.getValue().stringValue());
    }
    JsonNode size = root.path("metadata").path("total_size");
    return new TensorIndex(
        size.isIntegralNumber() && size.canConvertToLong()
            ? OptionalLong.of(size.longValue())
            : OptionalLong.empty(),
        fileOf);
  }
}
