package smelt.verify;

import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import smelt.formats.checkpoint.SourceTensor;

/// Rules on `model.safetensors.index.json`.
final class IndexRules {

  private static final Pattern SAFE_NAME = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._-]*");
  private static final String NO_INDEX = "there is no index";

  private IndexRules() {}

  static List<Rule> rules() {
    return List.of(
        Rule.any(
            "index-readable",
            "index",
            "several shards have one index, which is JSON with a weight_map",
            IndexRules::readable),
        Rule.any(
            "index-names-safe",
            "index",
            "file names in the index stay inside the model's folder",
            IndexRules::namesSafe),
        Rule.any(
            "index-files-exist",
            "index",
            "every file that the index lists exists, and every shard is listed",
            IndexRules::filesExist),
        Rule.any(
            "index-matches-headers",
            "index, headers",
            "the index maps exactly the tensors of the headers, each to its shard",
            IndexRules::matchesHeaders),
        Rule.any(
            "index-total-size",
            "index, headers",
            "total_size, where given, is the sum of the tensors' bytes",
            IndexRules::totalSize));
  }

  private static void readable(Facts facts, Findings out) {
    switch (facts.index()) {
      case Document.Read<TensorIndex> _ -> indexIsOnlyOne(facts, out);
      case Document.Broken<TensorIndex> broken ->
          out.fail(
              broken.file(),
              broken.found(),
              broken.expected(),
              "transformers and SGLang stop; vLLM may load stale shards beside the model's");
      case Document.Absent<TensorIndex> _ -> {
        if (facts.shards().size() > 1) {
          out.warn(
              facts.source().location(),
              facts.shards().size() + " shards without an index",
              "model.safetensors.index.json",
              "transformers cannot load it; vLLM loads every *.safetensors file that it finds");
        }
      }
    }
  }

  private static void indexIsOnlyOne(Facts facts, Findings out) {
    List<String> all =
        facts.source().names().stream()
            .filter(name -> name.endsWith(TensorIndex.SUFFIX) && name.indexOf('/') < 0)
            .toList();
    if (all.size() > 1) {
      out.warn(
          facts.source().location(),
          all.size() + " index files: " + String.join(", ", all),
          "one",
          "loaders pick one of them; only " + all.getFirst() + " was checked");
    }
  }

  private static void namesSafe(Facts facts, Findings out) {
    Optional<TensorIndex> index = facts.index().value();
    if (index.isEmpty()) {
      out.skip(NO_INDEX);
      return;
    }
    for (String file : new TreeSet<>(index.get().fileOf().values())) {
      if (!SAFE_NAME.matcher(file).matches() || file.contains("..")) {
        out.fail(
            "index: weight_map",
            "the file name '" + file + "'",
            "a plain file name of letters, digits, dot, dash and underscore",
            "a loader that joins it to the folder reads a file from outside the model");
      }
    }
  }

  private static void filesExist(Facts facts, Findings out) {
    Optional<TensorIndex> index = facts.index().value();
    if (index.isEmpty()) {
      out.skip(NO_INDEX);
      return;
    }
    Set<String> present = new HashSet<>(facts.source().names());
    Set<String> listed = new TreeSet<>(index.get().fileOf().values());
    for (String file : listed) {
      if (!present.contains(file) && SAFE_NAME.matcher(file).matches()) {
        out.fail(
            file, "no such file", "the shard that the index lists", "loading stops at this shard");
      }
    }
    for (Shard shard : facts.shards()) {
      if (!listed.contains(shard.file())) {
        out.fail(
            shard.file(),
            "a shard that the index does not list",
            "only listed shards",
            "its tensors are not loaded, or, by loaders that take all files, replace others");
      }
    }
  }

  private static void matchesHeaders(Facts facts, Findings out) {
    Optional<TensorIndex> index = facts.index().value();
    if (index.isEmpty() || !facts.unreadable().isEmpty()) {
      out.skip(index.isEmpty() ? NO_INDEX : Facts.INCOMPLETE);
      return;
    }
    Set<String> listed = new HashSet<>(index.get().fileOf().values());
    Set<String> shards = new HashSet<>();
    facts.shards().forEach(shard -> shards.add(shard.file()));
    for (Map.Entry<String, String> entry : index.get().fileOf().entrySet()) {
      SourceTensor tensor = facts.tensors().get(entry.getKey());
      if (shards.contains(entry.getValue())
          && (tensor == null || !holds(facts, tensor, entry.getValue()))) {
        out.fail(
            entry.getValue() + ": " + entry.getKey(),
            tensor == null ? "no such tensor" : "the tensor lies in " + tensor.file(),
            "the tensor that the index promises",
            "loading stops, or the weight stays uninitialised");
      }
    }
    for (SourceTensor tensor : facts.tensors().values()) {
      if (listed.contains(tensor.file()) && !index.get().fileOf().containsKey(tensor.name())) {
        out.fail(
            Facts.where(tensor),
            "a tensor that the index does not list",
            "every tensor in the index",
            "loaders that follow the index leave the weight uninitialised");
      }
    }
  }

  private static boolean holds(Facts facts, SourceTensor tensor, String file) {
    return tensor.file().equals(file)
        || facts.copies().stream()
            .anyMatch(copy -> copy.name().equals(tensor.name()) && copy.file().equals(file));
  }

  private static void totalSize(Facts facts, Findings out) {
    Optional<TensorIndex> index = facts.index().value();
    if (index.isEmpty() || index.get().totalSize().isEmpty() || !facts.unreadable().isEmpty()) {
      out.skip(
          index.isEmpty() ? NO_INDEX : "the index has no total_size, or a shard is unreadable");
      return;
    }
    long bytes = 0;
    for (Shard shard : facts.shards()) {
      bytes += shard.tensors().stream().mapToLong(SourceTensor::bytes).sum();
    }
    if (bytes != index.get().totalSize().getAsLong()) {
      out.add(
          facts.promised(),
          ServingRuntime.all(),
          "index: metadata.total_size",
          Long.toString(index.get().totalSize().getAsLong()),
          Long.toString(bytes),
          "memory is reserved for another size; the index was not made for these shards");
    }
  }
}
