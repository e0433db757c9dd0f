package smelt.calibrate.model;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import smelt.formats.Checkout;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// A small model with random weights, and what an independent implementation computed for it in
/// F64: `src/test/scripts/reference_models.py` makes both.
record Planted(String name, Path folder, TensorFile expected) {

  static final List<String> NAMES =
      List.of(
          "deepseek-v2-lite",
          "deepseek-v2",
          "deepseek-v3.2",
          "qwen3-moe",
          "qwen3-moe-sparse-step",
          "qwen2",
          "llama",
          "mixtral");

  private static final int SEQUENCES = 3;
  static final SampleRun.Setup SETUP = SampleRun.Setup.PLAIN.scratch(4 << 20);
  private static final JsonMapper JSON = JsonMapper.builder().build();

  /// The model with one feature changed; where the config decides it, the config's changes, and
  /// otherwise none.
  record Variant(String name, JsonNode config) {

    boolean isConfigured() {
      return !config.isEmpty();
    }

    String tensor() {
      return "variant." + name;
    }

    @Override
    public String toString() {
      return name;
    }
  }

  static Planted of(String name) throws IOException {
    Path folder = Checkout.root().resolve("calibrate/src/test/resources/models").resolve(name);
    return new Planted(name, folder, TensorFile.read(folder.resolve("expected.safetensors")));
  }

  /// A run of a checkpoint as small as these, in little memory.
  static SampleRun run(Path checkpoint, List<int[]> sequences) throws IOException {
    return SampleRun.of(checkpoint, sequences, SETUP);
  }

  /// The same with scalar kernels, which form the same sums in the same order whatever else there
  /// is in a batch.
  static SampleRun runScalar(Path checkpoint, List<int[]> sequences) throws IOException {
    return SampleRun.of(checkpoint, sequences, SETUP.kernels("scalar"));
  }

  /// The checkpoint.
  Path model() {
    return folder.resolve("model");
  }

  List<int[]> sequences() {
    List<int[]> sequences = new ArrayList<>();
    for (int s = 0; s < SEQUENCES; s++) {
      double[][] ids = expected.numbers("tokens." + s).orElseThrow();
      sequences.add(Arrays.stream(ids).mapToInt(row -> (int) row[0]).toArray());
    }
    return sequences;
  }

  List<Variant> variants() throws IOException {
    List<Variant> variants = new ArrayList<>();
    for (JsonNode node : JSON.readTree(Files.readAllBytes(folder.resolve("variants.json")))) {
      variants.add(new Variant(node.path("name").stringValue(), node.path("config")));
    }
    return variants;
  }

  /// A copy of the checkpoint whose config has these values in place of its own.
  Path withConfig(Path folder, JsonNode changes) throws IOException {
    Files.createDirectories(folder);
    ObjectNode config = config();
    changes.properties().forEach(entry -> config.set(entry.getKey(), entry.getValue()));
    Files.write(folder.resolve("config.json"), JSON.writeValueAsBytes(config));
    Files.copy(model().resolve("model.safetensors"), folder.resolve("model.safetensors"));
    return folder;
  }

  /// A copy of the checkpoint with other weights.
  Path withWeights(Path folder, TensorFile weights) throws IOException {
    Files.createDirectories(folder);
    Files.copy(model().resolve("config.json"), folder.resolve("config.json"));
    weights.write(folder.resolve("model.safetensors"));
    return folder;
  }

  ObjectNode config() throws IOException {
    return (ObjectNode) JSON.readTree(Files.readAllBytes(model().resolve("config.json")));
  }
}
