package smelt.converter.gguf;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import tools.jackson.databind.json.JsonMapper;

/// A real llama.cpp, prebuilt, from the package registry.
final class LlamaClient {

  /// The only one of the engine's builds for x86-64 with AMX.
  private static final String AMX_BUILD = "libggml-cpu-sapphirerapids.so";

  private final NodePackages packages;
  private final Path folder;

  private LlamaClient(NodePackages packages) {
    this.packages = packages;
    this.folder = packages.folder();
  }

  static LlamaClient install() throws IOException, InterruptedException {
    boolean platform =
        System.getProperty("os.name").toLowerCase(Locale.ROOT).equals("linux")
            && System.getProperty("os.arch").equals("amd64");
    assumeTrue(platform, "llama.cpp is tested on Linux x86-64 only");
    LlamaClient client = new LlamaClient(NodePackages.install("llama", "perplexity.mjs"));
    client.leaveOutAmx();
    return client;
  }

  /// On a processor with AMX the engine's build for it moves quantized weights to a buffer of its
  /// own and then finds no backend for one of the products of `deepseek2`: `ggml-backend.cpp:1294
  /// GGML_ASSERT(*cur_backend_id != -1)`. Without that library it takes the next best of its
  /// builds, which runs the same file.
  private void leaveOutAmx() throws IOException {
    try (Stream<Path> files = Files.walk(folder.resolve("node_modules/@node-llama-cpp"))) {
      for (Path file : files.filter(f -> f.endsWith(AMX_BUILD)).toList()) {
        Files.deleteIfExists(file);
      }
    }
  }

  /// The token ids of each text, special tokens as text, nothing added.
  List<List<Integer>> tokenize(Path model, List<String> texts)
      throws IOException, InterruptedException {
    NodePackages.install("llama", "tokenize.mjs");
    int[][] ids = answer("tokenize.mjs", model, texts, int[][].class);
    return Stream.of(ids).map(one -> IntStream.of(one).boxed().toList()).toList();
  }

  /// The sum of -ln p of all tokens but the first, for each window.
  double[] score(Path model, List<List<Integer>> windows) throws IOException, InterruptedException {
    return answer("perplexity.mjs", model, windows, double[].class);
  }

  private <T> T answer(String script, Path model, Object input, Class<T> type)
      throws IOException, InterruptedException {
    JsonMapper json = JsonMapper.builder().build();
    Path in = Files.createTempFile(folder, "input", ".json");
    Path out = Files.createTempFile(folder, "output", ".json");
    Path log = folder.resolve(script + ".log");
    try {
      Files.write(in, json.writeValueAsBytes(input));
      int status =
          packages.run(List.of("node", script, model.toAbsolutePath().toString()), in, out, log);
      if (status != 0) {
        throw new IOException("llama.cpp ended with " + status + ":\n" + Files.readString(log));
      }
      return json.readValue(Files.readAllBytes(out), type);
    } finally {
      Files.delete(in);
      Files.delete(out);
    }
  }
}
