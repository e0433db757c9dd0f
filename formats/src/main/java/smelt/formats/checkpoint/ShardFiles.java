package smelt.formats.checkpoint;

import java.io.IOException;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import smelt.formats.BadInputException;
import smelt.formats.Problem;
import smelt.formats.source.ModelSource;

/// Which files of a model are its shards.
///
/// With an index, the shards are the files that it lists; other safetensors files in the model's
/// root are strays. Without one there must be exactly one safetensors file in the root.
///
/// @param shards sorted by name
/// @param strays sorted by name
record ShardFiles(Optional<ShardIndex> index, List<String> shards, List<String> strays) {

  private static final String ENDING = ".safetensors";
  private static final String USUAL_INDEX = "model" + ShardIndex.ENDING;

  /// Finds them. What is wrong with names in the index is added to `problems`, and those shards are
  /// left out.
  static ShardFiles find(ModelSource source, List<Problem> problems) throws IOException {
    List<String> inRoot = inRoot(source);
    Optional<String> indexName = indexName(source);
    if (indexName.isPresent()) {
      return indexed(ShardIndex.read(source, indexName.get()), source, inRoot, problems);
    }
    if (inRoot.size() != 1) {
      throw noneOrMany(source, inRoot);
    }
    return new ShardFiles(Optional.empty(), inRoot, List.of());
  }

  /// All safetensors files in the model's root, sorted by name.
  static List<String> inRoot(ModelSource source) {
    return source.names().stream().filter(n -> n.endsWith(ENDING) && n.indexOf('/') < 0).toList();
  }

  private static Optional<String> indexName(ModelSource source) {
    List<String> all =
        source.names().stream()
            .filter(n -> n.endsWith(ShardIndex.ENDING) && n.indexOf('/') < 0)
            .toList();
    if (all.contains(USUAL_INDEX)) {
      return Optional.of(USUAL_INDEX);
    }
    if (all.size() > 1) {
      throw new BadInputException(
          source.location(),
          "several indexes: " + String.join(", ", all),
          "one index, or one named " + USUAL_INDEX,
          "remove those that do not belong to the weights");
    }
    return all.stream().findFirst();
  }

  private static ShardFiles indexed(
      ShardIndex index, ModelSource source, List<String> inRoot, List<Problem> problems) {
    Set<String> present = new HashSet<>(source.names());
    Set<String> shards = new TreeSet<>();
    for (String file : new TreeSet<>(index.weightMap().values())) {
      if (!ShardIndex.isShardName(file) || !file.endsWith(ENDING)) {
        problems.add(
            new Problem(
                index.file(),
                "a shard named " + file,
                "a name inside the model's folder, of letters, digits, '.', '_' and '-', that ends"
                    + " in "
                    + ENDING,
                "do not trust this model; download it again from its publisher"));
      } else if (!present.contains(file)) {
        problems.add(
            new Problem(
                index.file(),
                "shard " + file + ", which is not there",
                "every shard that the index lists",
                "download the missing file"));
      } else {
        shards.add(file);
      }
    }
    List<String> strays = inRoot.stream().filter(n -> !shards.contains(n)).toList();
    return new ShardFiles(Optional.of(index), List.copyOf(shards), strays);
  }

  private static BadInputException noneOrMany(ModelSource source, List<String> inRoot) {
    if (!inRoot.isEmpty()) {
      return new BadInputException(
          source.location(),
          inRoot.size() + " safetensors files and no index",
          USUAL_INDEX + ", or exactly one safetensors file",
          "download the index that was published with them");
    }
    Optional<String> pickle =
        source.names().stream().filter(n -> n.matches(".*\\.(bin|pt|pth|ckpt)")).findFirst();
    if (pickle.isPresent()) {
      return new BadInputException(
          source.location(),
          "weights only as pickle (" + pickle.get() + "), which can run code when it is read",
          "safetensors files",
          "download the model's safetensors version, or convert it with the tool that made it");
    }
    return new BadInputException(
        source.location(), "no safetensors file", "a model's weights", "name the model's folder");
  }
}
