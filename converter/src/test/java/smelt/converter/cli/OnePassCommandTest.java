package smelt.converter.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;
import smelt.converter.Program;
import smelt.converter.SampleModel;
import smelt.formats.Checkout;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// One pass by the real program.
class OnePassCommandTest {

  private static final String MODEL = SampleModel.path(SampleModel.BF16).toString();
  private static final String CORPUS =
      Checkout.root().resolve("samples/corpora/calibration.jsonl").toString();

  @TempDir private Path folder;

  private Program.Result convert(String recipe, String... more) {
    return Program.run(words(recipe, more));
  }

  private String[] words(String recipe, String... more) {
    String[] fixed = {
      "convert", MODEL, "--recipe", recipe, "-o", folder.resolve("out").toString(), "--threads", "2"
    };
    String[] args = new String[fixed.length + more.length];
    System.arraycopy(fixed, 0, args, 0, fixed.length);
    System.arraycopy(more, 0, args, fixed.length, more.length);
    return args;
  }

  private Path recipe(String targets) throws IOException {
    return Files.writeString(folder.resolve("own.yaml"), "name: own\ntargets:\n" + targets);
  }

  private String[] calibratedAndVerified() throws IOException {
    Path own =
        recipe(
            """
              - target: int8-channel
                solver: {shared_expert: weighted}
                bounds: {kl_999: none}
            """);
    return words(
        own.toString(),
        "--corpus",
        CORPUS,
        "--tokens",
        "512",
        "--sequence-length",
        "128",
        "--verify",
        "--eval-tokens",
        "2048",
        "--verdicts",
        folder.resolve("verdicts").toString(),
        "--json");
  }

  @Test
  void calibratesConvertsAndVerifies() throws Exception {
    Program.Result result = Program.run(calibratedAndVerified());
    assertThat(result.exit()).as(result.out() + result.err()).isZero();
    JsonNode answer = JsonMapper.shared().readTree(result.out());
    assertThat(answer.get("verdicts").get("int8-channel-weighted").asString()).isEqualTo("pass");
    assertThat(folder.resolve("verdicts/int8-channel-weighted.json")).isNotEmptyFile();
    assertThat(folder.resolve("verdicts/int8-channel-weighted.html")).isNotEmptyFile();
    assertThat(Program.run("check", folder.resolve("out").toString()).exit()).isZero();
  }

  @Test
  @EnabledIfSystemProperty(named = "smelt.long", matches = "true", disabledReason = "./dev long")
  void staysWithinItsMemory() throws Exception {
    Program.Result result = Program.smelt().go(calibratedAndVerified());
    assertThat(result.exit()).as(result.out() + result.err()).isZero();
    JsonNode answer = JsonMapper.shared().readTree(result.out());
    assertThat(answer.get("memory_peak").asLong())
        .isLessThanOrEqualTo(answer.get("memory_planned").asLong());
  }

  @Test
  void aBoundThatFailsLeavesTheOutputAndEndsWithOne() throws Exception {
    Path own =
        recipe(
            """
              - target: int8-channel
                bounds: {mean_kl: 1e-9}
              - target: bf16
            """);
    Program.Result result = convert(own.toString(), "--verify", "--eval-tokens", "512");
    assertThat(result.exit()).as(result.err()).isEqualTo(1);
    assertThat(result.out()).contains("verdict on int8-channel", "FAIL", "verdict on bf16", "PASS");
    assertThat(folder.resolve("out/int8-channel/manifest.json")).isNotEmptyFile();
    assertThat(folder.resolve("out/bf16/manifest.json")).isNotEmptyFile();
  }

  @Test
  void anExpertThatSawTooLittleEndsWithOneToo() throws Exception {
    Path own =
        recipe(
            """
              - target: int8-channel
                solver: {shared_expert: weighted}
                bounds: {coverage: 257}
            """);
    Program.Result result = convert(own.toString(), "--corpus", CORPUS, "--tokens", "256");
    assertThat(result.exit()).as(result.err()).isEqualTo(1);
    assertThat(result.err()).contains("wants 257 tokens").contains(" saw ");
    assertThat(folder.resolve("out/manifest.json")).isNotEmptyFile();
  }

  @Test
  void refusesTooLittleMemoryWithTheNumbers() {
    Program.Result result =
        convert("int8-channel", "--verify", "--eval-tokens", "4096", "--memory", "200M");
    assertThat(result.exit()).isEqualTo(4);
    assertThat(result.err()).contains("held", "scratch", "smelt calibrate");
    assertThat(folder.resolve("out")).doesNotExist();
  }

  @Test
  void saysThatExpertsAreHeldTogetherForTheNormThatTheyRead() {
    Program.Result result =
        convert("int8-smooth", "--corpus", CORPUS, "--tokens", "512", "--memory", "166M");
    assertThat(result.exit()).isEqualTo(4);
    assertThat(result.err()).contains("held", "leave feed-forward-norm out of smooth");
  }

  @Test
  void refusesAVerdictOnTheTextThatItWasCalibratedWith() {
    Program.Result result =
        convert(
            "int8-smooth",
            "--corpus",
            CORPUS,
            "--tokens",
            "512",
            "--verify",
            "--eval",
            CORPUS,
            "--eval-tokens",
            "512");
    assertThat(result.exit()).isEqualTo(3);
    assertThat(result.err()).contains("sequences that are in both");
  }
}
