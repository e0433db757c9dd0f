package smelt.verify;

import java.util.List;
import java.util.Set;
import smelt.formats.Problem;
import smelt.formats.checkpoint.ModelConfig;
import smelt.formats.checkpoint.SourceTensor;

/// Rules on the container: headers, metadata, alignment, names that occur twice, the config file.
final class ShardRules {

  private static final Set<String> FRAMEWORKS = Set.of("pt", "tf", "flax", "mlx");

  private ShardRules() {}

  static List<Rule> rules() {
    return List.of(
        Rule.any(
            "headers-readable",
            "headers",
            "every shard has a strict safetensors header whose tensors cover the file exactly",
            ShardRules::headersReadable),
        Rule.any(
            "format-metadata",
            "headers",
            "every shard's metadata says `format: pt`",
            ShardRules::formatMetadata),
        Rule.any(
            "header-padded",
            "headers",
            "every header's length is a multiple of 8, so that data is aligned",
            ShardRules::headerPadded),
        Rule.any(
            "tensor-names-unique",
            "headers",
            "no tensor lies in two shards",
            ShardRules::namesUnique),
        Rule.any(
            "config-readable",
            "config",
            "config.json is one JSON object without duplicate keys",
            ShardRules::configReadable));
  }

  /// Those that hold for safetensors that are no checkpoint.
  static List<Rule> untyped() {
    Set<String> names = Set.of("headers-readable", "tensor-names-unique");
    return rules().stream().filter(rule -> names.contains(rule.name())).toList();
  }

  private static void headersReadable(Facts facts, Findings out) {
    for (Problem problem : facts.unreadable()) {
      out.fail(
          problem.where(),
          problem.found(),
          problem.expected(),
          "loaders stop at this shard, or read other bytes than were written");
    }
  }

  private static void formatMetadata(Facts facts, Findings out) {
    for (Shard shard : facts.shards()) {
      String format = shard.metadata().get("format");
      if (format == null) {
        out.add(
            facts.promised(),
            ServingRuntime.all(),
            shard.file(),
            "no format in the metadata",
            "\"format\": \"pt\"",
            "transformers before 4.48.2 stops with an AttributeError when it loads this shard");
      } else if (!FRAMEWORKS.contains(format)) {
        out.fail(
            shard.file(),
            "format '" + format + "'",
            "\"format\": \"pt\"",
            "transformers refuses the shard with an OSError");
      } else if (!format.equals("pt")) {
        out.warn(
            shard.file(),
            "format '" + format + "'",
            "\"format\": \"pt\"",
            "loaders take the shard for another framework's and may transpose weights");
      }
    }
  }

  private static void headerPadded(Facts facts, Findings out) {
    for (Shard shard : facts.shards()) {
      if (shard.headerBytes() % 8 != 0) {
        out.add(
            facts.ours() ? Severity.FAIL : Severity.NOTE,
            ServingRuntime.all(),
            shard.file(),
            "a header of " + shard.headerBytes() + " bytes",
            "a multiple of 8",
            "tensors lie unaligned: loaders that map the file copy them, or refuse");
      }
    }
  }

  private static void namesUnique(Facts facts, Findings out) {
    for (SourceTensor copy : facts.copies()) {
      SourceTensor first = facts.tensors().get(copy.name());
      out.fail(
          Facts.where(copy),
          "the tensor also lies in " + first.file(),
          "each tensor in one shard",
          "which of the two is served depends on the order in which a loader reads the files");
    }
  }

  private static void configReadable(Facts facts, Findings out) {
    switch (facts.config()) {
      case Document.Read<ModelConfig> _ -> {}
      case Document.Absent<ModelConfig> _ ->
          out.fail(
              facts.source().location(),
              "no config.json",
              "the model's config.json",
              "no runtime can tell what model this is");
      case Document.Broken<ModelConfig> broken ->
          out.fail(
              broken.file(),
              broken.found(),
              broken.expected(),
              "no runtime can tell what model this is");
    }
  }
}
