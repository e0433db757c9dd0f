package smelt.converter.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.converter.Program;
import smelt.converter.SampleModel;
import smelt.converter.recipe.Recipes;
import smelt.converter.run.Converting;
import smelt.converter.target.Target;
import smelt.formats.Share;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class VerifyCommandTest {

  private static final String MODEL = SampleModel.path(SampleModel.FP8).toString();

  @TempDir static Path made;
  @TempDir Path folder;

  @BeforeAll
  static void convert() throws Exception {
    Converting.to(Target.INT8_CHANNEL).run(Path.of(MODEL), made.resolve("int8"));
  }

  private static Program.Result verify(Path result, String... more) {
    return Program.run(words(result, more));
  }

  private static String[] words(Path result, String... more) {
    List<String> args =
        new ArrayList<>(List.of("verify", result.toString(), "--against", MODEL, "--quiet"));
    args.addAll(List.of(more));
    return args.toArray(String[]::new);
  }

  private static JsonNode json(Program.Result result) {
    return JsonMapper.shared().readTree(result.out());
  }

  @Test
  void aModelAgainstItselfIsLossless() {
    Program.Result result =
        verify(Path.of(MODEL), "--tokens", "256", "--sequence-length", "128", "--json");
    assertThat(result.exit()).as(result.out() + result.err()).isZero();
    JsonNode json = json(result);
    assertThat(json.at("/verdict/profile").asString()).isEqualTo("lossless");
    assertThat(json.at("/summary/kl/max").asDouble()).isEqualTo(0);
  }

  @Test
  void aGoodResultPassesAndIsReportedInEveryForm() throws IOException {
    Path json = folder.resolve("report.json");
    Path md = folder.resolve("report.md");
    Path junit = folder.resolve("report.xml");
    Path html = folder.resolve("report.html");
    Path tables = folder.resolve("tables");
    Program.Result result =
        verify(
            made.resolve("int8"),
            "--tokens",
            "2048",
            "--sequence-length",
            "128",
            "--bound",
            "kl_999=none",
            "--tables",
            tables.toString(),
            "--report",
            "json=" + json + ",md=" + md + ",junit=" + junit + ",html=" + html);
    assertThat(result.exit()).as(result.out() + result.err()).isZero();
    assertThat(result.out().lines().findFirst().orElseThrow()).startsWith("PASS  profile w8a8: ");
    assertThat(result.out())
        .contains("mean KLD", "weights INT8 per channel, activations INT8 per token")
        .containsPattern("memory [0-9.]+ [MG]iB of [0-9.]+ MiB planned");
    assertThat(JsonMapper.shared().readTree(json.toFile()).at("/verdict/passed").asBoolean())
        .isTrue();
    assertThat(Files.readString(md)).contains("w8a8");
    assertThat(Files.readString(junit)).contains("<testsuites");
    assertThat(Files.readString(html)).contains("<html");
    try (Stream<Path> files = Files.list(tables)) {
      assertThat(files.map(file -> file.getFileName().toString()))
          .containsExactlyInAnyOrder(
              "tensors.arrow", "layers.arrow", "tokens.arrow", "experts.arrow");
    }
  }

  private static final String[] FEW = {
    "--tokens",
    "2048",
    "--sequence-length",
    "128",
    "--bound",
    "kl_999=none",
    "--bound",
    "same_top=none",
    "--json"
  };

  @Test
  void ggufIsVerifiedBesideTheModel() throws Exception {
    Path gguf = folder.resolve("gguf");
    Converting.to(Target.GGUF).run(Path.of(MODEL), gguf);
    Program.Result good = verify(gguf, FEW);
    assertThat(good.exit()).as(good.out() + good.err()).isZero();
    assertThat(good.err()).contains("GGUF of deepseek2 in Q8_0, F32");
    assertThat(json(good).at("/verdict/profile").asString()).isEqualTo("int8-weight");
    assertThat(json(good).at("/summary/kl/mean").asDouble()).isBetween(1e-5, 1e-3);

    Path part = gguf;
    try (Stream<Path> files = Files.list(gguf)) {
      for (Path file : files.filter(f -> f.toString().endsWith(".gguf")).toList()) {
        exchange(
            file, ggufName("blk.2.ffn_gate_shexp.weight"), ggufName("blk.2.ffn_up_shexp.weight"));
        part = file;
      }
    }
    Program.Result bad = verify(part, FEW);
    assertThat(bad.exit()).as(bad.out() + bad.err()).isEqualTo(1);
    assertThat(json(bad).at("/verdict/passed").asBoolean()).isFalse();
    assertThat(bad.out()).contains("shared_experts.gate_proj.weight");
  }

  @Test
  void expertsPackedForACpuAreVerifiedBesideTheModel() throws Exception {
    Path packed = folder.resolve("packed");
    Converting.to(Target.KT_AMX_INT4).run(Path.of(MODEL), packed);
    Program.Result good = verify(packed, FEW);
    assertThat(good.exit()).as(good.out() + good.err()).isZero();
    assertThat(good.err()).contains("AMXINT4, 1 NUMA nodes");
    assertThat(json(good).at("/verdict/profile").asString()).isEqualTo("int4-experts");
    assertThat(json(good).at("/summary/kl/mean").asDouble()).isBetween(1e-3, 1e-2);
    for (JsonNode size : json(good).at("/sizes")) {
      double ratio = size.at("/result_bytes").asDouble() / size.at("/parameters").asDouble();
      if (size.at("/role").asString().equals("routed_expert")) {
        assertThat(ratio).as("half a byte a weight, scales, and the MTP layer").isLessThan(0.75);
      }
    }

    try (Stream<Path> files = Files.list(packed)) {
      for (Path file : files.filter(f -> f.toString().endsWith(".safetensors")).toList()) {
        exchange(file, "blk.2.ffn_up_exps.3.numa.0", "blk.2.ffn_up_exps.4.numa.0");
      }
    }
    Program.Result bad = verify(packed, FEW);
    assertThat(bad.exit()).isEqualTo(1);
    assertThat(bad.out())
        .contains("model.layers.2.mlp.experts.3.up_proj.weight")
        .contains("model.layers.2.mlp.experts.4.up_proj.weight");
  }

  @Test
  void eachNumaNodeRoundsItsOwnPartOfAnInput() throws Exception {
    Path recipe = folder.resolve("two.yaml");
    Files.writeString(recipe, "name: two\ntargets: [{target: kt-amx-int8, numa: 2}]\n");
    Path packed = folder.resolve("packed");
    Converting.with(Recipes.load(recipe.toString())).run(Path.of(MODEL), packed);
    Program.Result two = verify(packed, "--tokens", "64", "--sequence-length", "16", "--json");
    assertThat(json(two).at("/subject/activations").asString())
        .as(two.err())
        .isEqualTo("INT8 per token and INT8 per token and 64 channels");
  }

  /// A name of less than 256 bytes as it stands in a header: its length in eight bytes before it.
  private static String ggufName(String name) {
    return (char) name.length() + "\0".repeat(7) + name;
  }

  /// Exchanges the names of two tensors in a header, where both are there.
  private static void exchange(Path file, String one, String other) throws IOException {
    byte[] bytes = Files.readAllBytes(file);
    String text = new String(bytes, StandardCharsets.ISO_8859_1);
    String changed = text.replace(one, "<other>").replace(other, one).replace("<other>", other);
    Files.write(file, changed.getBytes(StandardCharsets.ISO_8859_1));
  }

  @Test
  void aBoundThatFailsIsExitOne() {
    Program.Result result =
        verify(
            made.resolve("int8"),
            "--tokens",
            "512",
            "--sequence-length",
            "128",
            "--bound",
            "mean_kl=1e-9",
            "--bound",
            "kl_999=none");
    assertThat(result.exit()).isEqualTo(1);
    assertThat(result.out()).startsWith("FAIL  profile w8a8").doesNotContain("99.9 % KLD");
    assertThat(result.out()).containsPattern("mean KLD .* fail");
  }

  @Test
  void weightsAloneNeedNoText() throws IOException {
    Path recipe = folder.resolve("strict.yaml");
    Files.writeString(
        recipe,
        "name: strict\ntargets: [int8-channel]\nbounds: {profile: w8a8, weight_sqnr: 60}\n");
    Program.Result good = verify(made.resolve("int8"), "--weights-only");
    assertThat(good.exit()).as(good.out() + good.err()).isZero();
    assertThat(good.out()).contains("weight SQNR").doesNotContain("mean KLD");
    Program.Result strict =
        verify(made.resolve("int8"), "--weights-only", "--recipe", recipe.toString());
    assertThat(strict.exit()).isEqualTo(1);
    assertThat(strict.out()).contains("model.layers.0.mlp.down_proj.weight");
    assertThat(verify(made.resolve("int8"), "--weights-only", "--activations", "none").out())
        .contains("profile int8-weight");
  }

  @Test
  void anotherConfigOrTokenizerFailsEvenWithoutText() throws IOException {
    Path changed = SampleModel.copy(SampleModel.FP8, folder.resolve("changed"));
    Path config = changed.resolve("config.json");
    String before = Files.readString(config);
    Files.writeString(config, before.replace("\"rope_theta\": 10000", "\"rope_theta\": 1000"));
    Files.delete(changed.resolve("tokenizer_config.json"));
    Program.Result result = verify(changed, "--weights-only");
    assertThat(result.exit()).isEqualTo(1);
    assertThat(result.out())
        .contains("config.json rope_theta: 10000 -> 1000, tokenizer_config.json: lost")
        .containsPattern("bit-exact weights .* pass");
    assertThat(verify(changed, "--weights-only", "--bound", "model_changes=none").exit()).isZero();
  }

  @Test
  void tooLittleMemoryIsRefusedWithTheNumbers() {
    Program.Result result = verify(made.resolve("int8"), "--memory", "64M");
    assertThat(result.exit()).isEqualTo(4);
    assertThat(result.err()).contains("--memory 64 MiB", "one sequence at a time", "at least");
  }

  @Test
  void aBudgetCutsTheTextIntoRounds() {
    Program.Result free =
        verify(
            made.resolve("int8"),
            "--tokens",
            Share.of("512", "1024"),
            "--sequence-length",
            "32",
            "--json");
    long least = json(free).at("/run/memory_planned").asLong();
    String budget = Long.toString(least - (3L << 20));
    Program.Result result =
        verify(
            made.resolve("int8"),
            "--tokens",
            Share.of("512", "1024"),
            "--sequence-length",
            "32",
            "--json",
            "--no-early-stop",
            "--memory",
            budget);
    assertThat(json(result).at("/run/rounds_planned").asInt()).isGreaterThan(1);
    assertThat(json(result).at("/run/memory_planned").asLong())
        .isLessThanOrEqualTo(Long.parseLong(budget));
    assertThat(json(result).at("/summary/kl/mean").asDouble())
        .isEqualTo(json(free).at("/summary/kl/mean").asDouble());
  }

  @Test
  void aCertainPassEndsTheRunAndIsReported() throws IOException {
    Path md = folder.resolve("early.md");
    String[] text = {"--tokens", "512", "--sequence-length", "32", "--early-pass", "--json"};
    List<String> more = new ArrayList<>(List.of(text));
    more.addAll(List.of("--report", "md=" + md));
    Program.Result good = verify(Path.of(MODEL), more.toArray(String[]::new));
    assertThat(good.exit()).as(good.out() + good.err()).isZero();
    JsonNode look = json(good).at("/verdict/look");
    assertThat(look.at("/number").asInt()).isEqualTo(1);
    assertThat(look.at("/of").asInt()).isEqualTo(3);
    assertThat(look.at("/confidence").asDouble()).isEqualTo(0.995);
    assertThat(json(good).at("/subject/sequences").asInt()).isLessThan(7);
    assertThat(json(good).at("/notes").toString())
        .contains("since every bound holds: look 1 of 3, with limits at 99.5 %");
    assertThat(Files.readString(md)).contains("99.5 % limit", "look 1 of 3");

    Program.Result bad =
        verify(
            made.resolve("int8"),
            "--tokens",
            "512",
            "--sequence-length",
            "32",
            "--early-pass",
            "--no-early-stop",
            "--bound",
            "mean_kl=1e-9",
            "--json");
    assertThat(bad.exit()).isEqualTo(1);
    assertThat(json(bad).at("/verdict/look/number").asInt()).isEqualTo(3);
    assertThat(json(bad).at("/verdict/look/confidence").asDouble()).isEqualTo(0.965);
    assertThat(json(bad).at("/notes").toString()).contains("This is look 3 of 3");
  }

  @Test
  void oneThreadAndThreeGiveTheSameReport() {
    JsonNode[] reports = new JsonNode[2];
    for (int i = 0; i < 2; i++) {
      String threads = i == 0 ? "1" : "3";
      Program.Result result =
          verify(
              made.resolve("int8"),
              "--tokens",
              Share.of("256", "1024"),
              "--sequence-length",
              "32",
              "--threads",
              threads,
              "--json");
      reports[i] = json(result);
      assertThat(reports[i].at("/run/threads").asString()).isEqualTo(threads);
    }
    for (String part : List.of("summary", "layers", "gates", "tensors", "expert_use", "notes")) {
      assertThat(reports[1].at("/" + part)).as(part).isEqualTo(reports[0].at("/" + part));
    }
  }

  @Test
  void piecesOfPlainTextAreNotCalledDocuments() throws IOException {
    Path text = folder.resolve("text.txt");
    Files.writeString(
        text, "The river runs to the sea, and the sea takes what it is given. ".repeat(60));
    Program.Result result =
        verify(
            made.resolve("int8"),
            "--corpus",
            text.toString(),
            "--tokens",
            "320",
            "--sequence-length",
            "32");
    assertThat(result.out())
        .containsPattern("limits over 10 pieces of plain text with 310 tokens")
        .contains("Pieces of one text depend on each other")
        .doesNotContain("documents");
  }

  @Test
  void idsStandForTextWhereThereIsNoTokenizer() throws IOException {
    Path model = SampleModel.copy(SampleModel.FP8, folder.resolve("model"));
    Files.delete(model.resolve("tokenizer.json"));
    Path ids = folder.resolve("ids.jsonl");
    StringBuilder lines = new StringBuilder();
    for (int line = 0; line < 8; line++) {
      lines.append("[0");
      for (int id = 1; id < 40; id++) {
        lines.append(", ").append((line * 131 + id * 17) % 1500);
      }
      lines.append("]\n");
    }
    Files.writeString(ids, lines);
    Program.Result result =
        Program.run(
            "verify",
            made.resolve("int8").toString(),
            "--against",
            model.toString(),
            "--corpus",
            ids.toString(),
            "--json",
            "--quiet");
    assertThat(json(result).at("/summary/tokens").asInt()).as(result.err()).isEqualTo(8 * 39);
    Program.Result none =
        Program.run(
            "verify", made.resolve("int8").toString(), "--against", model.toString(), "--quiet");
    assertThat(none.exit()).isEqualTo(3);
    assertThat(none.err()).contains("tokenizer.json");
  }

  @Test
  void slipsAreUsageErrorsWithASuggestion() {
    assertThat(verify(made, "--bounds", "w8a9").err()).contains("did you mean 'w8a8'?");
    assertThat(verify(made, "--bound", "mean_lk=1").err()).contains("did you mean 'mean_kl'?");
    assertThat(verify(made, "--bound", "same_top=2").err()).contains("same_top=VALUE");
    assertThat(verify(made, "--report", "htm=x").err()).contains("did you mean 'html'?");
    assertThat(verify(made, "--tokens", "1").exit()).isEqualTo(2);
    assertThat(verify(made, "--bounds", "w8a9").exit()).isEqualTo(2);
    assertThat(verify(folder.resolve("none")).exit()).isEqualTo(3);
  }

  @Test
  void anotherModelIsNoSource() {
    Program.Result result =
        Program.run("verify", made.resolve("int8").toString(), "--against", folder.toString());
    assertThat(result.exit()).isEqualTo(3);
  }

  @Test
  void aSignalEndsItWithNothingWritten() throws Exception {
    Path messages = folder.resolve("messages.txt");
    Path tables = folder.resolve("tables");
    Process process =
        Program.smelt()
            .start(
                messages,
                "verify",
                made.resolve("int8").toString(),
                "--against",
                MODEL,
                "--tokens",
                "60000",
                "--tables",
                tables.toString());
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
    while (!Files.readString(messages).contains("round") && System.nanoTime() < end) {
      Thread.sleep(20);
    }
    process.destroy();
    assertThat(process.waitFor(20, TimeUnit.SECONDS)).isTrue();
    assertThat(process.exitValue()).isEqualTo(75);
    assertThat(tables).doesNotExist();
  }
}
