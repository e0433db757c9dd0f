package smelt.formats.checkpoint;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.formats.safetensors.SafetensorsLayout;
import smelt.formats.safetensors.SafetensorsLayout.Tensor;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// A checkpoint that a test is about to write: its config, what each shard holds, and what the
/// index says. All of it can be changed before it is written, so that any fault can be planted.
///
/// [#write] writes headers only and sets the length of the shards, so the data is a hole that reads
/// as zeros and takes no room, whatever the model's size.
public final class CheckpointDraft {

  public static final String INDEX = "model.safetensors.index.json";

  static final JsonMapper JSON = JsonMapper.builder().build();

  private final ObjectNode config;
  private final SortedMap<String, List<Tensor>> shards = new TreeMap<>();
  private final Map<String, String> weightMap = new LinkedHashMap<>();

  public CheckpointDraft(ObjectNode config) {
    this.config = config;
  }

  /// Spreads tensors over `count` shards of about the same size, in this order.
  public static CheckpointDraft spread(ObjectNode config, List<Tensor> tensors, int count) {
    CheckpointDraft draft = new CheckpointDraft(config);
    long total = tensors.stream().mapToLong(CheckpointDraft::bytes).sum();
    long before = 0;
    for (Tensor tensor : tensors) {
      int shard = (int) Math.min(count - 1, Math.floorDiv(before * count, total));
      draft.add(shardName(shard, count), tensor);
      before += bytes(tensor);
    }
    return draft;
  }

  public static String shardName(int shard, int count) {
    return "model-%05d-of-%05d.safetensors".formatted(shard + 1, count);
  }

  public ObjectNode config() {
    return config;
  }

  /// Shards with their tensors; live.
  public SortedMap<String, List<Tensor>> shards() {
    return shards;
  }

  /// The index; live.
  public Map<String, String> weightMap() {
    return weightMap;
  }

  /// Adds a tensor to a shard and to the index.
  public CheckpointDraft add(String file, Tensor tensor) {
    shards.computeIfAbsent(file, f -> new ArrayList<>()).add(tensor);
    weightMap.put(tensor.name(), file);
    return this;
  }

  public CheckpointDraft add(String file, String name, ElementType type, long... shape) {
    return add(file, new Tensor(name, type, Shape.of(shape)));
  }

  /// Removes a tensor from its shard and from the index.
  public CheckpointDraft remove(String name) {
    shards.get(weightMap.remove(name)).removeIf(t -> t.name().equals(name));
    return this;
  }

  /// Moves a tensor to another shard.
  public CheckpointDraft move(String name, String file) {
    Tensor tensor = tensor(name);
    return remove(name).add(file, tensor);
  }

  /// Replaces a tensor by one of another type and shape.
  public CheckpointDraft retype(String name, ElementType type, long... shape) {
    String file = weightMap.get(name);
    return remove(name).add(file, name, type, shape);
  }

  public Tensor tensor(String name) {
    return shards.get(weightMap.get(name)).stream()
        .filter(t -> t.name().equals(name))
        .findFirst()
        .orElseThrow();
  }

  /// Writes config, index and shards without data.
  public Path write(Path folder) throws IOException {
    Files.createDirectories(folder);
    Files.writeString(
        folder.resolve("config.json"),
        JSON.writerWithDefaultPrettyPrinter().writeValueAsString(config));
    writeIndex(folder);
    for (Map.Entry<String, List<Tensor>> shard : shards.entrySet()) {
      writeShard(folder.resolve(shard.getKey()), shard.getValue());
    }
    return folder;
  }

  /// Writes one shard without data.
  public static SafetensorsLayout writeShard(Path file, List<Tensor> tensors) throws IOException {
    SafetensorsLayout layout = SafetensorsLayout.of(tensors, Map.of("format", "pt"));
    Files.createDirectories(file.getParent());
    try (RandomAccessFile out = new RandomAccessFile(file.toFile(), "rw")) {
      out.write(layout.header());
      out.setLength(layout.fileSize());
    }
    return layout;
  }

  private void writeIndex(Path folder) throws IOException {
    long total =
        shards.values().stream().flatMap(List::stream).mapToLong(CheckpointDraft::bytes).sum();
    ObjectNode index = JSON.createObjectNode();
    index.putObject("metadata").put("total_size", total);
    ObjectNode map = index.putObject("weight_map");
    weightMap.forEach(map::put);
    Files.write(
        folder.resolve(INDEX), JSON.writeValueAsString(index).getBytes(StandardCharsets.UTF_8));
  }

  static long bytes(Tensor tensor) {
    return tensor.shape().bytes(tensor.type());
  }
}
