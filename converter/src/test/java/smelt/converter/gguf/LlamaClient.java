package smelt.converter.gguf;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import smelt.formats.Checkout;
import tools.jackson.databind.json.JsonMapper;

/// A real llama.cpp, prebuilt, from the package registry. It is installed below `target` on first
/// use, with the versions and digests of the lock file. A test that needs it is skipped, saying
/// why, where it cannot be had.
final class LlamaClient {

  private static final List<String> FILES =
      List.of("package.json", "package-lock.json", "perplexity.mjs");

  /// The only one of the engine's builds for x86-64 with AMX.
  private static final String AMX_BUILD = "libggml-cpu-sapphirerapids.so";

  private final Path folder;

  private LlamaClient(Path folder) {
    this.folder = folder;
  }

  static LlamaClient install() throws IOException, InterruptedException {
    boolean platform =
        System.getProperty("os.name").toLowerCase(Locale.ROOT).equals("linux")
            && System.getProperty("os.arch").equals("amd64");
    assumeTrue(platform, "llama.cpp is tested on Linux x86-64 only");
    Path module = Checkout.root().resolve("converter");
    Path folder = Files.createDirectories(module.resolve("target/llama"));
    for (String file : FILES) {
      Path from = module.resolve("src/test/llama").resolve(file);
      Files.copy(from, folder.resolve(file), StandardCopyOption.REPLACE_EXISTING);
    }
    LlamaClient client = new LlamaClient(folder);
    client.installPackages();
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
        Files.delete(file);
      }
    }
  }

  private void installPackages() throws IOException, InterruptedException {
    Path lock = folder.resolve("package-lock.json");
    Path installed = folder.resolve("installed.json");
    if (Files.exists(installed) && Files.mismatch(lock, installed) < 0) {
      return;
    }
    Path log = folder.resolve("install.log");
    int status;
    try {
      status =
          run(
              List.of(
                  "npm", "ci", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund"),
              Path.of("/dev/null"),
              log,
              log);
    } catch (IOException e) {
      assumeTrue(false, "no npm, so no llama.cpp to test with: " + e.getMessage());
      throw e;
    }
    assumeTrue(status == 0, "npm cannot install llama.cpp, see " + log);
    Files.copy(lock, installed, StandardCopyOption.REPLACE_EXISTING);
  }

  /// The sum of -ln p of all tokens but the first, for each window.
  double[] score(Path model, List<List<Integer>> windows) throws IOException, InterruptedException {
    JsonMapper json = JsonMapper.builder().build();
    Path in = Files.createTempFile(folder, "windows", ".json");
    Path out = Files.createTempFile(folder, "sums", ".json");
    Path log = folder.resolve("perplexity.log");
    try {
      Files.write(in, json.writeValueAsBytes(windows));
      int status =
          run(List.of("node", "perplexity.mjs", model.toAbsolutePath().toString()), in, out, log);
      if (status != 0) {
        throw new IOException("llama.cpp ended with " + status + ":\n" + Files.readString(log));
      }
      return json.readValue(Files.readAllBytes(out), double[].class);
    } finally {
      Files.delete(in);
      Files.delete(out);
    }
  }

  private int run(List<String> command, Path in, Path out, Path log)
      throws IOException, InterruptedException {
    ProcessBuilder builder = new ProcessBuilder(command).directory(folder.toFile());
    builder.redirectInput(in.toFile()).redirectOutput(out.toFile());
    if (out.equals(log)) {
      builder.redirectErrorStream(true);
    } else {
      builder.redirectError(log.toFile());
    }
    Process process = builder.start();
    if (!process.waitFor(180, TimeUnit.SECONDS)) {
      process.destroyForcibly();
      throw new IOException(command + " did not end in three minutes, see " + log);
    }
    return process.exitValue();
  }
}
