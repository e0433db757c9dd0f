package smelt.verify;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.formats.safetensors.SafetensorsLayout;
import smelt.formats.safetensors.TensorEntry;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// A checkpoint to be written: tests take a good one, spoil it, and write it.
final class ModelDraft {

  static final JsonMapper JSON = new JsonMapper();

  /// One tensor's content, little-endian.
  record Content(ElementType type, Shape shape, ByteBuffer bytes) {}

  final ObjectNode config;
  final Map<String, Content> tensors = new TreeMap<>();
  final Map<String, String> files = new TreeMap<>();
  final Map<String, String> metadata = new HashMap<>(Map.of("format", "pt"));
  final ObjectNode index = JSON.createObjectNode();

  /// Tensors that a second shard holds too.
  final List<String> copies = new ArrayList<>();

  int shards = 2;
  int headerPadding;
  boolean withIndex = true;

  ModelDraft(ObjectNode config) {
    this.config = config;
    files.put("generation_config.json", "{}");
    files.put("tokenizer.json", "{}");
    files.put("tokenizer_config.json", "{}");
  }

  /// A tensor of one byte over and over.
  void fill(String name, ElementType type, Shape shape, int value) {
    byte[] bytes = new byte[Math.toIntExact(shape.bytes(type))];
    java.util.Arrays.fill(bytes, (byte) value);
    tensors.put(name, new Content(type, shape, ByteBuffer.wrap(bytes)));
  }

  /// A tensor of F32, one value over and over.
  void floats(String name, Shape shape, float value) {
    ByteBuffer bytes = ByteBuffer.allocate(Math.toIntExact(shape.bytes(ElementType.F32)));
    bytes.order(ByteOrder.LITTLE_ENDIAN);
    while (bytes.hasRemaining()) {
      bytes.putFloat(value);
    }
    tensors.put(name, new Content(ElementType.F32, shape, ByteBuffer.wrap(bytes.array())));
  }

  void setFloat(String name, int at, float value) {
    ByteBuffer.wrap(bytes(name)).order(ByteOrder.LITTLE_ENDIAN).putFloat(at * 4, value);
  }

  byte[] bytes(String name) {
    Content content = tensors.get(name);
    if (content == null) {
      throw new IllegalArgumentException("the draft has no tensor " + name);
    }
    return content.bytes().array();
  }

  void remove(String name) {
    bytes(name);
    tensors.remove(name);
  }

  /// Stores a quantized weight plain, and drops what lay beside it.
  void makePlain(String module) {
    Shape shape = tensors.get(module + ".weight").shape();
    fill(module + ".weight", ElementType.BF16, shape, 0x3C);
    WeightModule.COMPANIONS.forEach(part -> tensors.remove(module + "." + part));
  }

  ObjectNode quantization() {
    return (ObjectNode) config.get("quantization_config");
  }

  /// Writes shards, index, config and side files.
  Path write(Path folder) throws IOException {
    Files.createDirectories(folder);
    ObjectNode weightMap = JSON.createObjectNode();
    long total = 0;
    for (int i = 0; i < shards; i++) {
      Map<String, Content> held = heldBy(i);
      String file =
          shards == 1
              ? "model.safetensors"
              : "model-0000%d-of-0000%d.safetensors".formatted(i + 1, shards);
      writeShard(folder.resolve(file), held);
      for (Map.Entry<String, Content> entry : held.entrySet()) {
        if (!weightMap.has(entry.getKey())) {
          weightMap.put(entry.getKey(), file);
        }
        total += entry.getValue().bytes().capacity();
      }
    }
    if (withIndex) {
      ObjectNode written = JSON.createObjectNode();
      written.putObject("metadata").put("total_size", total);
      written.set("weight_map", weightMap);
      index.properties().forEach(e -> written.set(e.getKey(), e.getValue()));
      files.putIfAbsent("model.safetensors.index.json", written.toString());
    }
    files.putIfAbsent("config.json", config.toString());
    for (Map.Entry<String, String> file : files.entrySet()) {
      Files.writeString(folder.resolve(file.getKey()), file.getValue(), UTF_8);
    }
    return folder;
  }

  /// A weight and its scale come to lie in different shards.
  private Map<String, Content> heldBy(int shard) {
    Map<String, Content> held = new LinkedHashMap<>();
    int i = 0;
    for (Map.Entry<String, Content> entry : tensors.entrySet()) {
      if (i++ % shards == shard || copies.contains(entry.getKey())) {
        held.put(entry.getKey(), entry.getValue());
      }
    }
    return held;
  }

  private void writeShard(Path file, Map<String, Content> held) throws IOException {
    List<SafetensorsLayout.Tensor> all = new ArrayList<>();
    held.forEach((name, c) -> all.add(new SafetensorsLayout.Tensor(name, c.type(), c.shape())));
    SafetensorsLayout layout = SafetensorsLayout.of(all, metadata);
    byte[] header = layout.header();
    ByteBuffer out =
        ByteBuffer.allocate(Math.toIntExact(layout.fileSize() + headerPadding))
            .order(ByteOrder.LITTLE_ENDIAN);
    out.put(header).put(" ".repeat(headerPadding).getBytes(UTF_8));
    out.putLong(0, header.length - 8L + headerPadding);
    for (TensorEntry tensor : layout.tensors()) {
      out.put(held.get(tensor.name()).bytes().array());
    }
    Files.write(file, out.array());
  }
}
