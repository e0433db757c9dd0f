package smelt.converter.deploy;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import smelt.converter.Program;
import smelt.formats.Checkout;
import smelt.formats.gguf.GgufHeader;
import smelt.formats.gguf.GgufTensor;
import smelt.formats.safetensors.SafetensorsHeader;
import smelt.formats.safetensors.TensorEntry;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// The `deploy/` folder, by the program itself: its ledger against the files that were written, its
/// script in a real shell with stand-ins for the runtimes.
class DeployTest {

  private static final Path SAMPLE = Checkout.root().resolve("samples/tiny-deepseek-v3-fp8");

  @TempDir Path folder;

  private Path convert(String recipe) {
    Path out = folder.resolve("out");
    Program.Result result =
        Program.run("convert", SAMPLE.toString(), "--recipe", recipe, "-o", out.toString());
    assertThat(result.exit()).as(result.err()).isZero();
    return out;
  }

  private static JsonNode ledger(Path target) {
    return JsonMapper.shared().readTree(target.resolve("deploy/ledger.json").toFile());
  }

  /// Bytes of the tensors of a folder's files, by their own headers.
  private static long tensorBytes(Path target) throws IOException {
    long bytes = 0;
    try (ModelSource source = ModelSources.open(target)) {
      for (String name : source.names()) {
        if (name.endsWith(".safetensors")) {
          try (ByteSource file = source.open(name)) {
            for (TensorEntry entry : SafetensorsHeader.read(file).tensors()) {
              bytes += entry.bytes();
            }
          }
        } else if (name.endsWith(".gguf")) {
          try (ByteSource file = source.open(name)) {
            for (GgufTensor tensor : GgufHeader.read(file).tensors()) {
              bytes += tensor.bytes();
            }
          }
        }
      }
    }
    return bytes;
  }

  private static long sum(JsonNode lines, String place) {
    long sum = 0;
    for (JsonNode line : lines) {
      if (line.get("place").asString().startsWith(place)) {
        sum += line.get("bytes").asLong();
      }
    }
    return sum;
  }

  @ParameterizedTest
  @CsvSource({
    "ktransformers-int8, kt-amx-int8-numa2, int8-channel",
    "ktransformers-int4, kt-amx-int4, int8-channel",
    "ktransformers-rawint4, '', ''",
    "llamacpp-q8, '', ''",
    "llamacpp-q4, '', ''"
  })
  void theLedgerAddsUpToTheFiles(String recipe, String cpu, String gpu) throws Exception {
    Path out = convert(recipe);
    long files = tensorBytes(out.resolve(cpu));
    if (!gpu.isEmpty()) {
      long nodes = sum(ledger(out.resolve(cpu)).get("lines"), "NUMA node");
      assertThat(nodes).isEqualTo(files);
      files += tensorBytes(out.resolve(gpu));
    }
    JsonNode ledger = ledger(out.resolve(cpu));
    assertThat(sum(ledger.get("lines"), "")).isEqualTo(files);
    assertThat(ledger.get("tensor_bytes").asLong()).isEqualTo(files);
    long placed = 0;
    for (JsonNode place : ledger.get("places")) {
      placed += place.asLong();
    }
    assertThat(placed).isEqualTo(files + sum(ledger.get("copies"), ""));
  }

  /// 4 layers, a latent of 64 and 16 rotated numbers, two bytes each.
  @Test
  void theCacheIsThatOfTheLatent() {
    JsonNode config = JsonMapper.shared().readTree(SAMPLE.resolve("config.json").toFile());
    long numbers = config.get("kv_lora_rank").asLong() + config.get("qk_rope_head_dim").asLong();
    assertThat(ledger(convert("llamacpp-q8")).get("key_value_cache_bytes_per_token").asLong())
        .isEqualTo(2 * numbers * config.get("num_hidden_layers").asLong());
  }

  @Test
  void theScriptNamesBothHalvesAndTheirFlags() throws Exception {
    Path target = convert("ktransformers-int8").resolve("kt-amx-int8-numa2");
    List<String> words = launched(target, "python3", "--port", "30000", "two words");
    assertThat(words)
        .containsSequence("-m", "sglang.launch_server")
        .containsSequence("--kt-method", "AMXINT8")
        .containsSequence("--kt-threadpool-count", "2")
        .contains("--disable-shared-experts-fusion")
        .endsWith("--port", "30000", "two words");
    Path model = Path.of(words.get(words.indexOf("--model") + 1));
    assertThat(model.resolve("config.json")).exists();
    assertThat(model.toRealPath().getFileName()).hasToString("int8-channel");
    assertThat(Path.of(words.get(words.indexOf("--kt-weight-path") + 1)).toRealPath())
        .isEqualTo(target.toRealPath());
  }

  @Test
  void expertsAloneAskForTheModel() throws Exception {
    Path target = convert("kt-amx-int8");
    assertThat(Files.readString(target.resolve("deploy/launch.sh"))).contains("MODEL=${MODEL:?");
    assertThat(sum(ledger(target).get("lines"), "GPU")).isPositive();
  }

  @Test
  void llamaCppIsGivenTheFirstFile() throws Exception {
    Path target = convert("llamacpp-q4");
    List<String> words = launched(target, "llama-server");
    assertThat(Path.of(words.get(words.indexOf("-m") + 1))).exists();
    assertThat(words).containsSequence("-ot", "ffn_(gate|up|down)_exps=CPU");
  }

  @Test
  void aTreeIsGivenByItsRoot() throws Exception {
    Path recipe =
        Files.writeString(
            folder.resolve("tree.yaml"),
            "name: tree\ntargets: [int8-channel, {target: kt-amx-int8, form: tree}]\n");
    Path target = convert(recipe.toString()).resolve("kt-amx-int8-tree");
    List<String> words = launched(target, "python3");
    assertThat(Path.of(words.get(words.indexOf("--kt-weight-path") + 1)).resolve("_layer_1"))
        .isDirectory();
  }

  /// Runs the script with a stand-in for the runtime that prints its arguments.
  private List<String> launched(Path target, String runtime, String... more) throws Exception {
    Path bin = Files.createDirectories(folder.resolve("bin"));
    Path stand = bin.resolve(runtime);
    Files.writeString(stand, "#!/bin/sh\nprintf '%s\\n' \"$@\"\n");
    assertThat(stand.toFile().setExecutable(true)).isTrue();
    List<String> command = new ArrayList<>(List.of("sh", target + "/deploy/launch.sh"));
    command.addAll(List.of(more));
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().merge("PATH", bin.toString(), (old, own) -> own + ":" + old);
    Process process = builder.start();
    String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor(20, TimeUnit.SECONDS)).isTrue();
    assertThat(process.exitValue()).as(printed).isZero();
    return printed.lines().toList();
  }

  @ParameterizedTest
  @ValueSource(strings = {"ktransformers-fp8"})
  void nodesThatDoNotDivideTheExpertsAreRefused(String recipe) {
    Program.Result result =
        Program.run(
            "convert",
            SAMPLE.toString(),
            "--recipe",
            recipe,
            "-o",
            folder.resolve("no").toString());
    assertThat(result.exit()).isEqualTo(2);
    assertThat(result.err())
        .contains("target fp8-block with numa: 2: found experts of width 128")
        .contains("a multiple of 128 for each node, so of 256");
    assertThat(folder.resolve("no")).doesNotExist();
  }

  @Test
  void nativeExpertsAreReadByBoth() throws Exception {
    Path recipe =
        Files.writeString(
            folder.resolve("native.yaml"),
            "name: native\ntargets: [{target: fp8-block, numa: 1}]\n");
    Path target = convert(recipe.toString());
    assertThat(launched(target, "python3"))
        .containsSequence("--kt-method", "FP8")
        .containsSequence("--kt-threadpool-count", "1");
    JsonNode ledger = ledger(target);
    assertThat(sum(ledger.get("lines"), "")).isEqualTo(tensorBytes(target));
    assertThat(sum(ledger.get("copies"), "GPU")).isPositive();
    assertThat(Program.run("check", target.toString()).exit()).isZero();
    Program.Result hybrid = Program.run("check", target.toString(), "--for", "ktransformers");
    assertThat(hybrid.exit()).as(hybrid.out()).isZero();
  }

  @Test
  void theManifestListsTheFolder() throws Exception {
    Path target = convert("llamacpp-q8");
    try (Stream<Path> files = Files.list(target.resolve("deploy"))) {
      for (Path file : files.toList()) {
        assertThat(Files.readString(target.resolve("manifest.json")))
            .contains("\"deploy/" + file.getFileName() + "\"");
      }
    }
  }
}
