package smelt.converter.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;
import smelt.converter.Program;
import smelt.converter.SampleModel;
import smelt.converter.recipe.Recipe;
import smelt.converter.recipe.Recipes;
import smelt.formats.Checkout;
import smelt.formats.Share;
import tools.jackson.databind.json.JsonMapper;

class ChooseCommandTest {

  private static final Path SAMPLE = SampleModel.path(SampleModel.BF16);
  private static final String CORPUS =
      Checkout.root().resolve("samples/corpora/calibration.jsonl").toString();

  @TempDir private Path folder;

  private static double number(String text, String pattern) {
    Matcher matcher = Pattern.compile(pattern).matcher(text);
    assertThat(matcher.find()).as(pattern + " in " + text).isTrue();
    return Double.parseDouble(matcher.group(1).replace(",", ""));
  }

  private String recipe(String yaml) throws IOException {
    Path file = folder.resolve("base.yaml");
    Files.writeString(file, yaml);
    return file.toString();
  }

  /// As many bytes as all in `Q5_K`, and less lost; what was measured by rounding on the way is
  /// what `verify` finds in the converted file.
  @Test
  void losesLessThanTheUniformSchemeAtEqualBytes() throws IOException {
    String base =
        recipe(
            """
            name: base
            targets:
              - target: gguf
                type: q5_k
                types: {embedding: f16, attention.kv_b: f16}
            """);
    Path chosen = folder.resolve("chosen.yaml");
    Program.Result result =
        Program.run(
            "choose",
            SAMPLE.toString(),
            "--recipe",
            base,
            "--corpus",
            CORPUS,
            "--tokens",
            Share.of("256", "512"),
            "-o",
            chosen.toString());
    assertThat(result.exit()).as(result.err()).isZero();
    assertThat(result.out()).contains("no super weights and no super experts").contains("is kept");
    double bytes = number(result.out(), "allocated +([0-9,]+) bytes");
    double uniform = number(result.out(), "recipe as it is +([0-9,]+) bytes");
    assertThat(bytes).isLessThanOrEqualTo(uniform);
    double measured = number(result.out(), "allocated .*measured ([0-9.e+-]+)");
    double before = number(result.out(), "recipe as it is .*measured ([0-9.e+-]+)");
    assertThat(measured).isLessThan(before);
    assertThat(number(result.out(), "optimality gap ([0-9.]+) %")).isLessThan(0.5);
    Path out = folder.resolve("out");
    Program.Result convert =
        Program.run("convert", SAMPLE.toString(), "--recipe", chosen.toString(), "-o", out + "");
    assertThat(convert.exit()).as(convert.err()).isZero();
    assertThat(convert.out()).contains(String.format("%,.0f bytes", bytes));
    Program.Result verify =
        Program.run(
            "verify",
            out.toString(),
            "--against",
            SAMPLE.toString(),
            "--tokens",
            Share.of("256", "512"),
            "--activations",
            "none",
            "--no-early-stop",
            "--json");
    double verified =
        JsonMapper.builder()
            .build()
            .readTree(verify.out())
            .findPath("kl")
            .path("mean")
            .doubleValue();
    assertThat(measured).isCloseTo(verified, within(0.02 * verified));
  }

  @Test
  @EnabledIfSystemProperty(named = "smelt.long", matches = "true", disabledReason = "./dev long")
  void keepsTheBudgetToTheByte() throws IOException {
    Path chosen = folder.resolve("chosen.yaml");
    String[] args = {
      "choose",
      SAMPLE.toString(),
      "--recipe",
      "llamacpp-q8",
      "--tokens",
      "256",
      "--budget",
      "7000000",
      "-o",
      chosen.toString()
    };
    Program.Result result = Program.run(args);
    assertThat(result.exit()).as(result.err()).isZero();
    double bytes = number(result.out(), "allocated +([0-9,]+) bytes");
    assertThat(bytes).isBetween(6_900_000.0, 7_000_000.0);
    Recipe recipe = Recipes.load(chosen.toString());
    assertThat(recipe.targets()).hasSize(1);
    Program.Result again = Program.run(args);
    assertThat(again.exit()).isEqualTo(2);
    assertThat(again.err()).contains("it is there already");
  }

  @Test
  void keepsPartsOfACheckpointInBf16() throws IOException {
    Path chosen = folder.resolve("chosen.yaml");
    Program.Result result =
        Program.run(
            "choose",
            SAMPLE.toString(),
            "--recipe",
            "ct-w4a16",
            "--tokens",
            Share.of("128", "256"),
            "--max-kl",
            "0.008",
            "-o",
            chosen.toString());
    assertThat(result.exit()).as(result.out() + result.err()).isIn(0, 1);
    assertThat(Files.readString(chosen)).contains("    keep:\n      - 're:model");
    assertThat(number(result.out(), "allocated .*predicted ([0-9.e+-]+)"))
        .isLessThanOrEqualTo(0.008);
    Program.Result plan = Program.run("plan", SAMPLE.toString(), "--recipe", chosen.toString());
    assertThat(plan.exit()).as(plan.err()).isZero();
  }

  @Test
  void refusesWhatCannotBe() throws IOException {
    Path chosen = folder.resolve("chosen.yaml");
    Program.Result small =
        Program.run(
            "choose",
            SAMPLE.toString(),
            "--recipe",
            "gguf",
            "--tokens",
            "64",
            "--budget",
            "1000000",
            "-o",
            chosen.toString());
    assertThat(small.exit()).as(small.err()).isEqualTo(4);
    assertThat(small.err()).contains("give at least");
    assertThat(chosen).doesNotExist();
    Program.Result experts =
        Program.run(
            "choose", SAMPLE.toString(), "--recipe", "kt-amx-int8", "-o", chosen.toString());
    assertThat(experts.err()).contains("choosing schemes for kt-amx-int8");
    Program.Result types =
        Program.run(
            "choose",
            SAMPLE.toString(),
            "--recipe",
            "gguf",
            "--types",
            "iq2_xs",
            "-o",
            chosen.toString());
    assertThat(types.exit()).isEqualTo(2);
    assertThat(types.err()).contains("--types iq2_xs: one of f32");
  }
}
