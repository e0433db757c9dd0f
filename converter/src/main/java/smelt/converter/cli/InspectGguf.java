package smelt.converter.cli;

import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import smelt.converter.ByteSize;
import smelt.formats.gguf.GgmlType;
import smelt.formats.gguf.GgufParts;
import smelt.formats.gguf.GgufTensor;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// What `smelt inspect` says of GGUF files: as a person reads it, and as JSON. Texts of metadata
/// are cut, arrays only counted.
final class InspectGguf {

  private static final int LONGEST = 80;

  private InspectGguf() {}

  /// @param tensors whether every tensor is listed
  static void lines(GgufParts parts, boolean tensors, Consumer<String> out) {
    out.accept(parts.location() + ": GGUF of " + parts.architecture().orElse("no architecture"));
    out.accept(
        line(
            "files",
            parts.parts().size()
                + ", "
                + parts.tensors().size()
                + " tensors, "
                + ByteSize.format(parts.tensorBytes())));
    types(parts)
        .forEach((type, total) ->
            out.accept(
                line(
                    type.name(), total.tensors() + " tensors, " + ByteSize.format(total.bytes()))));
    parts.metadata().forEach((key, value) -> out.accept("  " + key + " = " + value.shown(LONGEST)));
    if (tensors) {
      for (GgufParts.Located located : parts.tensors()) {
        GgufTensor t = located.tensor();
        out.accept(
            String.format(
                Locale.ROOT,
                "  %s  %s %s  %s at %d",
                t.name(),
                t.type(),
                t.dims(),
                located.file(),
                located.offset()));
      }
    }
  }

  private static String line(String name, String text) {
    return String.format(Locale.ROOT, "  %-8s %s", name, text);
  }

  /// For programs.
  static JsonNode json(GgufParts parts, boolean tensors) {
    Map<String, Object> tree = new LinkedHashMap<>();
    tree.put("model", parts.location());
    tree.put("format", "gguf");
    tree.put("architecture", parts.architecture().orElse(""));
    tree.put("files", parts.parts().stream().map(GgufParts.Part::file).toList());
    tree.put("tensors", parts.tensors().size());
    tree.put("tensor_bytes", parts.tensorBytes());
    Map<String, Object> types = new LinkedHashMap<>();
    types(parts).forEach((type, total) -> types.put(type.name(), total.json()));
    tree.put("types", types);
    Map<String, String> metadata = new LinkedHashMap<>();
    parts.metadata().forEach((key, value) -> metadata.put(key, value.shown(LONGEST)));
    tree.put("metadata", metadata);
    if (tensors) {
      tree.put("tensor_list", parts.tensors().stream().map(InspectGguf::entry).toList());
    }
    return JsonMapper.shared().valueToTree(tree);
  }

  private static Map<String, Object> entry(GgufParts.Located located) {
    Map<String, Object> entry = new LinkedHashMap<>();
    entry.put("name", located.tensor().name());
    entry.put("type", located.tensor().type().name());
    entry.put("dims", located.tensor().dims());
    entry.put("file", located.file());
    entry.put("offset", located.offset());
    entry.put("bytes", located.tensor().bytes());
    return entry;
  }

  private record Total(long tensors, long bytes) {
    Map<String, Object> json() {
      Map<String, Object> tree = new LinkedHashMap<>();
      tree.put("tensors", tensors);
      tree.put("bytes", bytes);
      return tree;
    }
  }

  private static Map<GgmlType, Total> types(GgufParts parts) {
    return parts.tensors().stream()
        .map(GgufParts.Located::tensor)
        .collect(
            Collectors.toMap(
                GgufTensor::type,
                t -> new Total(1, t.bytes()),
                (a, b) -> new Total(a.tensors() + b.tensors(), a.bytes() + b.bytes()),
                TreeMap::new));
  }
}
