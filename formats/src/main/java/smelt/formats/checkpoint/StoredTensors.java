package smelt.formats.checkpoint;

import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import smelt.formats.Problem;

/// All tensors that the shards hold, by name.
final class StoredTensors {

  private final Map<String, SourceTensor> byName;

  private StoredTensors(Map<String, SourceTensor> byName) {
    this.byName = byName;
  }

  /// Joins the shards' tensors; a tensor in two shards is a problem.
  static StoredTensors of(List<ShardReader.Content> contents, List<Problem> problems) {
    int count = contents.stream().mapToInt(c -> c.tensors().size()).sum();
    Map<String, SourceTensor> byName = HashMap.newHashMap(count);
    for (ShardReader.Content content : contents) {
      for (SourceTensor tensor : content.tensors()) {
        SourceTensor other = byName.putIfAbsent(tensor.name(), tensor);
        if (other != null) {
          problems.add(doubled(tensor, other.file()));
        }
      }
    }
    return new StoredTensors(byName);
  }

  Optional<SourceTensor> find(String name) {
    return Optional.ofNullable(byName.get(name));
  }

  Collection<SourceTensor> all() {
    return byName.values();
  }

  /// A file outside the index must not hold a tensor of the model: a loader that takes every file
  /// would read that one.
  void checkStrays(List<ShardReader.Content> strays, List<Problem> problems) {
    for (ShardReader.Content stray : strays) {
      for (SourceTensor tensor : stray.tensors()) {
        SourceTensor other = byName.get(tensor.name());
        if (other != null) {
          problems.add(doubled(tensor, other.file()));
        }
      }
    }
  }

  /// The index must name every tensor of the readable shards, in the shard that holds it, and no
  /// other.
  void checkIndex(ShardIndex index, List<String> shards, List<Problem> problems) {
    Set<String> readable = new HashSet<>(shards);
    index
        .weightMap()
        .forEach((name, file) -> {
          SourceTensor tensor = byName.get(name);
          boolean there = tensor != null && tensor.file().equals(file);
          if (readable.contains(file) && !there) {
            problems.add(lacking(index, name, file, tensor));
          }
        });
    for (SourceTensor tensor : byName.values()) {
      if (!index.weightMap().containsKey(tensor.name())) {
        problems.add(
            new Problem(
                tensor.file() + ": " + tensor.name(),
                "a tensor that " + index.file() + " does not name",
                "an index that names every tensor",
                "download the index and this shard again; they do not belong together"));
      }
    }
  }

  private static Problem lacking(
      ShardIndex index, String name, String file, SourceTensor elsewhere) {
    String found = "tensor " + name + " said to be in " + file + ", which lacks it";
    return new Problem(
        index.file(),
        elsewhere == null ? found : found + " (it is in " + elsewhere.file() + ")",
        "every tensor in the shard that the index names",
        "download the index and this shard again; they do not belong together");
  }

  private static Problem doubled(SourceTensor tensor, String otherFile) {
    return new Problem(
        tensor.file() + ": " + tensor.name(),
        "a tensor that " + otherFile + " holds as well",
        "every tensor in one shard only",
        "remove the file that does not belong to the model");
  }
}
