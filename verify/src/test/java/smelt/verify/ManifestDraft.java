package smelt.verify;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.stream.Stream;
import java.util.zip.CRC32C;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// Writes a manifest for a folder, from the files alone: headers are parsed as plain JSON.
final class ManifestDraft {

  final ObjectNode root = ModelDraft.JSON.createObjectNode();

  private ManifestDraft() {}

  /// The manifest of a folder that was copied tensor by tensor from a source with one tensor more.
  static ManifestDraft of(Path folder) throws IOException {
    ManifestDraft draft = new ManifestDraft();
    draft.root.put("format", "smelt-manifest/1").put("smelt", "0.1.0").put("target", "test");
    draft.root.putObject("recipe").put("name", "test").put("sha256", "0".repeat(64));
    draft.root.put("plan", "0".repeat(64));
    ObjectNode source = draft.root.putObject("source");
    ArrayNode files = draft.root.putArray("files");
    ArrayNode tensors = draft.root.putArray("tensors");
    TreeSet<String> names = new TreeSet<>();
    long total = 0;
    for (Path file : sorted(folder)) {
      byte[] bytes = Files.readAllBytes(file);
      String name = file.getFileName().toString();
      files.addObject().put("name", name).put("bytes", bytes.length).put("sha256", sha(bytes));
      if (name.endsWith(".safetensors")) {
        addTensors(tensors, name, bytes, names);
        total += bytes.length;
      }
    }
    names.add("model.dropped.weight");
    draft
        .root
        .putArray("dropped")
        .addObject()
        .put("name", "model.dropped.weight")
        .put("reason", "x");
    source.put("architecture", "DeepseekV3ForCausalLM").put("tensors", names.size());
    source.put("bytes", total).put("names_sha256", sha(joined(names)));
    return draft;
  }

  ObjectNode tensor(String name) {
    for (JsonNode tensor : root.get("tensors")) {
      if (tensor.get("name").stringValue().equals(name)) {
        return (ObjectNode) tensor;
      }
    }
    throw new IllegalArgumentException(name);
  }

  ObjectNode file(String name) {
    for (JsonNode file : root.get("files")) {
      if (file.get("name").stringValue().equals(name)) {
        return (ObjectNode) file;
      }
    }
    throw new IllegalArgumentException(name);
  }

  void write(Path folder) throws IOException {
    Files.writeString(folder.resolve("manifest.json"), root.toString(), UTF_8);
  }

  private static void addTensors(
      ArrayNode tensors, String file, byte[] bytes, SortedSet<String> names) {
    ByteBuffer in = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    int length = Math.toIntExact(in.getLong());
    JsonNode header = ModelDraft.JSON.readTree(new String(bytes, 8, length, UTF_8));
    for (Map.Entry<String, JsonNode> entry : header.properties()) {
      if (entry.getKey().equals("__metadata__")) {
        continue;
      }
      int begin = 8 + length + entry.getValue().get("data_offsets").get(0).intValue();
      int end = 8 + length + entry.getValue().get("data_offsets").get(1).intValue();
      CRC32C crc = new CRC32C();
      crc.update(bytes, begin, end - begin);
      ObjectNode tensor = tensors.addObject().put("name", entry.getKey());
      tensor.put("type", entry.getValue().get("dtype").stringValue());
      tensor.set("shape", entry.getValue().get("shape"));
      tensor.put("file", file).put("offset", begin).put("bytes", end - begin);
      tensor.put("crc32c", HexFormat.of().toHexDigits((int) crc.getValue())).put("how", "copied");
      tensor.putArray("from").add(entry.getKey());
      names.add(entry.getKey());
    }
  }

  private static byte[] joined(SortedSet<String> names) {
    return (String.join("\n", names) + "\n").getBytes(UTF_8);
  }

  private static List<Path> sorted(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.sorted().toList();
    }
  }

  private static String sha(byte[] bytes) {
    try {
      return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }
}
