package smelt.converter.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.converter.Program;
import smelt.converter.SampleModel;
import smelt.verify.Check;
import smelt.verify.CheckOptions;
import smelt.verify.CheckReport;
import smelt.verify.Severity;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class CheckCommandTest {

  private static final List<String> TARGETS =
      List.of(
          "bf16",
          "fp8-block",
          "ct-fp8-block",
          "ct-fp8-channel",
          "int8-channel",
          "int8-block",
          "ct-int8",
          "ascend-w8a8",
          "ct-w4a16",
          "rawint4");

  @TempDir Path folder;

  @Test
  void everyTargetsOutputIsClean() throws IOException {
    Path recipe = folder.resolve("all.yaml");
    Files.writeString(
        recipe, "name: all\ndescription: all\ntargets: [" + String.join(", ", TARGETS) + "]\n");
    Path out = folder.resolve("out");
    Program.Result made =
        Program.run(
            "convert",
            "--quiet",
            SampleModel.path(SampleModel.FP8).toString(),
            "--recipe",
            recipe.toString(),
            "-o",
            out.toString());
    assertThat(made.exit()).as(made.err()).isZero();
    for (String target : TARGETS) {
      CheckReport report = Check.run(out.resolve(target), Set.of(), CheckOptions.full());
      assertThat(report.findings())
          .allSatisfy(f -> assertThat(f.severity()).as(f.text()).isEqualTo(Severity.NOTE));
      assertThat(report.passed())
          .as(target)
          .contains("closed-world", "tensor-digests", "file-digests", "weights-as-config");
    }
  }

  @Test
  void aCleanModelIsExitZero() {
    Program.Result result = Program.run("check", SampleModel.path(SampleModel.FP8).toString());
    assertThat(result.exit()).isZero();
    assertThat(result.out())
        .contains("checked for vllm, sglang, because the checkpoint declares fp8 in blocks")
        .contains("0 failures, 0 warnings");
  }

  @Test
  void aBrokenRuleIsExitOneAndInEveryReport() throws IOException {
    Path model = SampleModel.copy(SampleModel.FP8, folder.resolve("model"));
    String config = Files.readString(model.resolve("config.json"));
    Files.writeString(model.resolve("config.json"), config.replace("\"fp8\"", "\"w8a8_int8\""));
    Path junit = folder.resolve("check.xml");
    Program.Result result =
        Program.run("check", "--json", "--report", "junit=" + junit, model.toString());
    assertThat(result.exit()).isEqualTo(1);
    JsonNode json = JsonMapper.shared().readTree(result.out());
    assertThat(json.get("failed").asBoolean()).isTrue();
    assertThat(json.get("findings").get(0).get("severity").asString()).isEqualTo("fail");
    assertThat(Files.readString(junit)).contains("name=\"quantization-as-stored\"><failure");
  }

  @Test
  void whatIsNoModelIsExitThree() throws IOException {
    assertThat(Program.run("check", folder.resolve("none").toString()).exit()).isEqualTo(3);
    Program.Result empty =
        Program.run("check", Files.createDirectory(folder.resolve("e")).toString());
    assertThat(empty.exit()).isEqualTo(3);
    assertThat(empty.err()).contains("no *.safetensors file");
  }

  @Test
  void rulesAreListedAndRuntimesAreChecked() {
    Program.Result rules = Program.run("check", "--rules");
    assertThat(rules.exit()).isZero();
    assertThat(rules.out().lines()).hasSameSizeAs(Check.rules());
    Program.Result wrong = Program.run("check", "--for", "vlm", "somewhere");
    assertThat(wrong.exit()).isEqualTo(2);
    assertThat(wrong.err()).contains("vllm");
    assertThat(Program.run("check").exit()).isEqualTo(2);
  }
}
