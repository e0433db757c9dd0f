package smelt.formats.codec;

import static smelt.formats.codec.Layouts.U8;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// The tensors of a sample model, mapped: just enough of safetensors for tests.
record SampleModel(Map<String, Entry> tensors) {

  /// A tensor's bytes.
  record Entry(String type, List<Long> shape, MemorySegment bytes) {}

  static SampleModel open(String name, Arena arena) throws IOException {
    Map<String, Entry> tensors = new TreeMap<>();
    try (Stream<Path> files = Files.list(root().resolve("samples").resolve(name))) {
      files
          .filter(f -> f.toString().endsWith(".safetensors"))
          .forEach(f -> tensors.putAll(read(f, arena)));
    }
    return new SampleModel(tensors);
  }

  private static Map<String, Entry> read(Path file, Arena arena) {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      MemorySegment all = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena);
      long data = 8L + all.get(Layouts.U32, 0);
      String header = new String(all.asSlice(8, data - 8).toArray(U8), StandardCharsets.UTF_8);
      Map<String, Entry> tensors = new TreeMap<>();
      for (Map.Entry<String, JsonNode> e : new JsonMapper().readTree(header).properties()) {
        if (!e.getKey().equals("__metadata__")) {
          JsonNode offsets = e.getValue().get("data_offsets");
          long begin = offsets.get(0).asLong();
          List<Long> shape =
              e.getValue().get("shape").values().stream().map(JsonNode::asLong).toList();
          MemorySegment bytes = all.asSlice(data + begin, offsets.get(1).asLong() - begin);
          tensors.put(e.getKey(), new Entry(e.getValue().get("dtype").asString(), shape, bytes));
        }
      }
      return tensors;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static Path root() {
    Path folder = Path.of("").toAbsolutePath();
    while (!Files.exists(folder.resolve("dev"))) {
      folder = folder.getParent();
    }
    return folder;
  }
}
