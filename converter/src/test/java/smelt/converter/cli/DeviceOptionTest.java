package smelt.converter.cli;

import static java.util.stream.Collectors.joining;
import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;
import smelt.calibrate.cuda.CudaProbe;
import smelt.calibrate.cuda.CudaState;
import smelt.converter.Program;
import smelt.converter.SampleModel;
import smelt.converter.run.Converting;
import smelt.formats.Checkout;
import smelt.formats.Share;
import smelt.formats.checkpoint.Architecture;
import smelt.formats.checkpoint.SyntheticCheckpoint;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// `--device`, by the real program: without a driver, and with the stand-in that the tests of
/// `calibrate` build.
class DeviceOptionTest {

  @TempDir Path folder;
  private String model;

  /// Small, as the stand-in computes a thread after the other.
  @BeforeEach
  void makeModel() throws IOException {
    Path made = folder.resolve("model");
    SyntheticCheckpoint.of(Architecture.DEEPSEEK_V3)
        .form(SyntheticCheckpoint.Form.FP8_BLOCK)
        .write(made);
    model = made.toString();
  }

  private String[] convert(String recipe, String out, String... more) {
    String[] words = {"convert", model, "--recipe", recipe, "-o", folder.resolve(out).toString()};
    return Stream.concat(Stream.of(words), Stream.of(more)).toArray(String[]::new);
  }

  private static Program.Result withoutDriver(String... words) {
    assumeTrue(CudaProbe.probe() instanceof CudaState.NoDriver, "this machine has a driver");
    return Program.run(words);
  }

  private static Program withStandIn() {
    Path library = Checkout.root().resolve("calibrate/target/fake-driver/libcuda.so.1");
    assumeTrue(Files.exists(library), "no stand-in driver: run the tests of calibrate first");
    return Program.smelt()
        .jvm("-XX:TieredStopAtLevel=1")
        .environment("LD_LIBRARY_PATH", library.getParent().toString());
  }

  @Test
  void withoutADriverCudaIsRefusedBeforeAnythingIsWritten() {
    Program.Result result =
        withoutDriver(convert("int8-channel", "out", "--device", "cuda", "--quiet"));
    assertThat(result.exit()).isEqualTo(4);
    assertThat(result.err())
        .contains("--device cuda", "no NVIDIA driver (libcuda.so.1 not found)", "CUDA 13.0");
    assertThat(folder.resolve("out")).doesNotExist();
  }

  @Test
  void withoutADriverAutoTellsInOneLineThatItUsesTheProcessor() {
    Program.Result result = withoutDriver(convert("int8-channel", "out", "--kernels", "scalar"));
    assertThat(result.exit()).isZero();
    assertThat(result.err().lines().filter(line -> line.contains("device")))
        .singleElement()
        .asString()
        .endsWith("; device cpu: no NVIDIA driver (libcuda.so.1 not found)");
  }

  @Test
  void aPlanWithNothingForAGpuIsRefused() {
    model = SampleModel.path(SampleModel.FP8).toString();
    Program.Result result =
        Program.run(convert("kt-amx-int4", "out", "--device", "cuda", "--quiet"));
    assertThat(result.exit()).isEqualTo(4);
    assertThat(result.err()).contains("a plan without a tensor that GPU kernels write");
  }

  @Test
  void commandsWithoutCodeForGpusRefuseCudaByName() {
    Program.Result generate = Program.run("generate", model, "--prompt", "a", "--device", "cuda");
    assertThat(generate.exit()).isEqualTo(4);
    assertThat(generate.err()).contains("generate, which has no code for GPUs");
    Program.Result verify =
        Program.run("verify", model, "--against", model, "--weights-only", "--device", "cuda");
    assertThat(verify.exit()).isEqualTo(4);
    assertThat(verify.err()).contains("verify --weights-only, which has no code for GPUs");
  }

  @Test
  @EnabledIfSystemProperty(named = "smelt.long", matches = "true", disabledReason = "./dev long")
  void theDeviceGivesTheSameVerdictToTheLastBit() throws IOException {
    Path made = folder.resolve("made");
    Program.Result converted =
        Program.run("convert", model, "--recipe", "int8-channel", "-o", made.toString());
    assertThat(converted.exit()).as(converted.err()).isZero();
    Path cuda = folder.resolve("cuda");
    Program.Result found = withStandIn().go(verify(made, cuda, "--device", "cuda"));
    assertThat(found.err()).contains("device cuda (Stand-in, compute capability 9.0");
    Path cpu = folder.resolve("cpu");
    Program.Result expected = Program.run(verify(made, cpu, "--device", "cpu"));
    assertThat(found.exit()).as(found.err()).isEqualTo(expected.exit());
    assertThat(Converting.digests(cuda)).isNotEmpty().isEqualTo(Converting.digests(cpu));
  }

  private String[] verify(Path made, Path tables, String... more) throws IOException {
    String[] words = {
      "verify",
      made.toString(),
      "--against",
      model,
      "--corpus",
      corpus().toString(),
      "--no-early-stop",
      "--tables",
      tables.toString()
    };
    return Stream.concat(Stream.of(words), Stream.of(more)).toArray(String[]::new);
  }

  @Test
  void theDeviceGivesTheSameBytes() throws IOException {
    Program.Result onDevice =
        withStandIn().go(convert("int8-channel", "cuda", "--device", "cuda", "--threads", "2"));
    assertThat(onDevice.exit()).as(onDevice.err()).isZero();
    assertThat(onDevice.err()).contains("device cuda (Stand-in, compute capability 9.0");
    Program.Result onCpu =
        Program.run(convert("int8-channel", "cpu", "--device", "cpu", "--kernels", "scalar"));
    assertThat(onCpu.exit()).isZero();
    Map<String, String> expected = Converting.digests(folder.resolve("cpu"));
    assertThat(Converting.digests(folder.resolve("cuda"))).isEqualTo(expected);
  }

  private static String[] calibrate(String model, Path corpus, Path out, String... more) {
    String[] words = {
      "calibrate", model, "--corpus", corpus.toString(), "--tokens", "40", "-o", out.toString()
    };
    return Stream.concat(Stream.of(words), Stream.of(more)).toArray(String[]::new);
  }

  private Path corpus() throws IOException {
    String ids = IntStream.range(0, 20).mapToObj(i -> "" + 7 * i % 61).collect(joining(","));
    String line = "{\"ids\":[" + ids + "]}\n";
    return Files.writeString(folder.resolve("corpus.jsonl"), line + line.replace("[0,", "[5,"));
  }

  @Test
  @EnabledIfSystemProperty(named = "smelt.long", matches = "true", disabledReason = "./dev long")
  void theDeviceGivesTheSameTable() throws IOException {
    Path cuda = folder.resolve("cuda");
    String[] onDevice = calibrate(model, corpus(), cuda, "--device", "cuda", "--hessians", "pool");
    Program.Result found = withStandIn().go(onDevice);
    assertThat(found.exit()).as(found.err()).isZero();
    assertThat(found.err()).contains("device cuda (Stand-in, compute capability 9.0");
    Path cpu = folder.resolve("cpu");
    String[] here = calibrate(model, corpus(), cpu, "--device", "cpu", "--hessians", "pool");
    Program.Result expected = Program.run(here);
    assertThat(expected.exit()).as(expected.err()).isZero();
    assertThat(expected.err()).contains("device cpu");
    assertThat(Converting.digests(cuda)).isEqualTo(Converting.digests(cpu));
  }

  /// The model runs on the device, and so do the paths of targets; what they hold is not changed.
  @Test
  void theDeviceGivesTheSameInOnePass() throws IOException {
    List<String> targets = Share.of(List.of("int8-channel", "gguf-f32"), 1);
    Path own =
        Files.writeString(
            folder.resolve("own.yaml"),
            "name: own\ntargets:\n  - target: int8-channel\n"
                + (targets.size() == 1 ? "" : "  - {target: gguf, type: f32}\n"));
    Path counts = folder.resolve("counts");
    Program.Result found =
        withStandIn()
            .environment("FAKE_DRIVER_COUNTS", counts.toString())
            .go(onePass(own, "cuda", "--device", "cuda"));
    assertThat(found.err()).contains("device cuda (Stand-in, compute capability 9.0");
    Program.Result expected = Program.run(onePass(own, "cpu", "--device", "cpu"));
    assertThat(expected.err()).contains("device cpu");
    assertThat(found.exit()).as(found.err()).isEqualTo(expected.exit());
    assertThat(Converting.digests(folder.resolve("cuda")))
        .isNotEmpty()
        .isEqualTo(Converting.digests(folder.resolve("cpu")));
    assertThat(Long.parseLong(Files.readString(counts)))
        .as("products of both paths, beside those of the check")
        .isGreaterThan(50);
    for (String target : targets) {
      assertThat(verdict("cuda", target)).isEqualTo(verdict("cpu", target));
    }
  }

  /// Every figure of a verdict, without what it says of the run.
  private JsonNode verdict(String out, String target) {
    Path file = folder.resolve(out + "-verdicts").resolve(target + ".json");
    ObjectNode verdict = (ObjectNode) JsonMapper.shared().readTree(file.toFile());
    assertThat(verdict.remove("subject")).isNotNull();
    return verdict;
  }

  private String[] onePass(Path recipe, String out, String... more) throws IOException {
    String[] verdicts = {
      "--verify",
      "--eval",
      corpus().toString(),
      "--eval-tokens",
      Share.of("8", "40"),
      "--sequence-length",
      "8",
      "--verdicts",
      folder.resolve(out + "-verdicts").toString()
    };
    return convert(
        recipe.toString(),
        out,
        Stream.concat(Stream.of(verdicts), Stream.of(more)).toArray(String[]::new));
  }

  @Test
  void onePassIsRefusedADeviceThatTheMemoryDoesNotAllow() throws IOException {
    Path own =
        Files.writeString(folder.resolve("own.yaml"), "name: own\ntargets:\n  - target: bf16\n");
    Program.Result small =
        withStandIn().go(onePass(own, "out", "--device", "cuda", "--memory", "700M"));
    assertThat(small.exit()).isEqualTo(4);
    assertThat(small.err()).contains("GPU driver", "--device cpu");
    assertThat(folder.resolve("out")).doesNotExist();
  }

  @Test
  void aCalibrationIsRefusedADeviceThatIsNotThereOrThatTheMemoryDoesNotAllow() throws IOException {
    Path out = folder.resolve("out");
    Program.Result without = withoutDriver(calibrate(model, corpus(), out, "--device", "cuda"));
    assertThat(without.exit()).isEqualTo(4);
    assertThat(without.err()).contains("--device cuda", "no NVIDIA driver");
    Program.Result small =
        withStandIn().go(calibrate(model, corpus(), out, "--device", "cuda", "--memory", "700M"));
    assertThat(small.exit()).isEqualTo(4);
    assertThat(small.err()).contains("GPU driver", "--device cpu");
    Program.Result scalar =
        withStandIn()
            .go(calibrate(model, corpus(), out, "--device", "cuda", "--kernels", "scalar"));
    assertThat(scalar.exit()).isEqualTo(4);
    assertThat(scalar.err()).contains("scalar kernels, which sum in another order");
    assertThat(out).doesNotExist();
    Program.Result auto = withStandIn().go(calibrate(model, corpus(), out, "--kernels", "scalar"));
    assertThat(auto.exit()).as(auto.err()).isZero();
    assertThat(auto.err()).contains("device cpu: scalar kernels");
  }

  @Test
  void aVerificationIsRefusedADeviceThatIsNotThere() throws IOException {
    Path tables = folder.resolve("tables");
    Program.Result result = withoutDriver(verify(Path.of(model), tables, "--device", "cuda"));
    assertThat(result.exit()).isEqualTo(4);
    assertThat(result.err()).contains("--device cuda", "no NVIDIA driver");
    assertThat(tables).doesNotExist();
  }

  @Test
  void theDoctorDescribesTheDevice() {
    Program.Result result = withStandIn().go("doctor");
    assertThat(result.exit()).isZero();
    assertThat(result.out().lines())
        .anyMatch(line -> line.matches("GPU +Stand-in, compute capability 9.0, .* CUDA 13.0"))
        .anyMatch(line -> line.startsWith("GPU memory"));
  }

  @Test
  void aMemoryLimitCountsTheDriver() {
    Program.Result result =
        withStandIn().go(convert("int8-channel", "out", "--device", "cuda", "--memory", "600M"));
    assertThat(result.exit()).isEqualTo(4);
    assertThat(result.err()).contains("GPU driver", "--device cpu");
    assertThat(folder.resolve("out")).doesNotExist();
  }
}
