package smelt.verify.inference;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SortedSet;
import java.util.TreeSet;
import smelt.formats.checkpoint.SideFile;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// Files beside the weights that decide what a runtime makes of text and of logits: tokenizer, chat
/// template, generation config and the modelling code. Small JSON files are compared key by key,
/// all others byte by byte.
final class FileChanges {

  private static final SortedSet<String> NAMES =
      new TreeSet<>(
          List.of(
              "added_tokens.json",
              "chat_template.jinja",
              "chat_template.json",
              "generation_config.json",
              "merges.txt",
              "special_tokens_map.json",
              "spiece.model",
              "tiktoken.model",
              "tokenizer.json",
              "tokenizer.model",
              "tokenizer_config.json",
              "vocab.json",
              "vocab.txt"));

  /// What a saving program writes of itself.
  private static final String WRITER = "transformers_version";

  private static final long MOST_JSON = 1L << 20;
  private static final long PIECE = 64L << 10;

  private final ModelSource source;
  private final ModelSource result;
  private final List<String> changes = new ArrayList<>();

  private FileChanges(ModelSource source, ModelSource result) {
    this.source = source;
    this.result = result;
  }

  /// Every change, in words, such as `generation_config.json temperature: 0.6 -> 1.0`.
  ///
  /// @param code whether the files that hold code belong to the model, see [#code]
  static List<String> of(Verification.Model source, Verification.Model result, boolean code)
      throws IOException {
    FileChanges found = new FileChanges(source.source(), result.source());
    SortedSet<String> names = new TreeSet<>(NAMES);
    if (code) {
      names.addAll(code(source));
      names.addAll(code(result));
    }
    for (String name : names) {
      found.compare(name);
    }
    return found.changes;
  }

  /// Names of the files that hold the modelling code.
  static List<String> code(Verification.Model model) {
    return model.checkpoint().sideFiles().stream()
        .filter(file -> file.kind() == SideFile.Kind.CODE)
        .map(SideFile::name)
        .toList();
  }

  private void compare(String name) throws IOException {
    boolean before = source.names().contains(name);
    boolean after = result.names().contains(name);
    if (before != after) {
      changes.add(name + (before ? ": lost" : ": added"));
    } else if (before) {
      try (ByteSource a = source.open(name);
          ByteSource b = result.open(name)) {
        if (!sameBytes(a, b)) {
          differ(a, b);
        }
      }
    }
  }

  private static boolean sameBytes(ByteSource a, ByteSource b) throws IOException {
    if (a.size() != b.size()) {
      return false;
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment ofA = arena.allocate(PIECE);
      MemorySegment ofB = arena.allocate(PIECE);
      for (long at = 0; at < a.size(); at += PIECE) {
        long length = Math.min(PIECE, a.size() - at);
        a.read(at, ofA.asSlice(0, length));
        b.read(at, ofB.asSlice(0, length));
        if (ofA.asSlice(0, length).mismatch(ofB.asSlice(0, length)) >= 0) {
          return false;
        }
      }
    }
    return true;
  }

  private void differ(ByteSource a, ByteSource b) throws IOException {
    String name = a.name();
    if (name.endsWith(".json")
        && Math.max(a.size(), b.size()) <= MOST_JSON
        && json(source, name) instanceof ObjectNode before
        && json(result, name) instanceof ObjectNode after) {
      Map<String, String> keys = ConfigChanges.of(before, after);
      keys.remove(WRITER);
      keys.forEach((key, change) -> changes.add(name + " " + key + ": " + change));
    } else {
      changes.add(name + ": other content");
    }
  }

  /// The tree of a file; that of an empty array where it is no JSON, which is for a runtime to
  /// refuse.
  private static JsonNode json(ModelSource model, String name) throws IOException {
    try {
      return JsonMapper.shared().readTree(model.readSmall(name, MOST_JSON));
    } catch (JacksonException _) {
      return JsonMapper.shared().createArrayNode();
    }
  }
}
