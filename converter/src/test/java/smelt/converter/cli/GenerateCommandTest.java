package smelt.converter.cli;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import smelt.converter.Program;
import smelt.converter.SampleModel;
import smelt.formats.Checkout;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class GenerateCommandTest {

  private static final String MODEL = SampleModel.path(SampleModel.BF16).toString();

  @TempDir Path folder;

  @Test
  void greedyTokensAreTheGoldenOnesAsIdsAndAsText() throws IOException {
    JsonNode golden =
        JsonMapper.shared()
            .readTree(Files.readString(Checkout.golden("tiny-deepseek-v3/bf16/greedy.json")));
    String expected = words(golden.path("generated"));
    Program.Result ids =
        run("", MODEL, "--ids", "--prompt", words(golden.path("prompt")), "--tokens", "48");
    assertThat(ids.exit()).as(ids.err()).isZero();
    assertThat(ids.out()).isEqualTo(expected + "\n");
    assertThat(ids.err()).contains("32 tokens, up to 48 more").contains("48 added");
    String text = golden.path("text").stringValue();
    int split = text.indexOf("elaps") + "elaps".length();
    Program.Result answer = run("", MODEL, "--prompt", text.substring(0, split), "--tokens", "48");
    assertThat(answer.out()).isEqualTo(text.substring(split) + "\n");
  }

  @Test
  void theSameSeedGivesTheSameTextOnAnyNumberOfThreads() {
    String first = drawn("5", "1");
    assertThat(drawn("5", "2")).isEqualTo(first);
    assertThat(drawn("6", "2")).isNotEqualTo(first);
  }

  private String drawn(String seed, String threads) {
    Program.Result result =
        run(
            "",
            MODEL,
            "--prompt",
            "The",
            "--tokens",
            "12",
            "--temperature",
            "1.2",
            "--top-p",
            "0.95",
            "--seed",
            seed,
            "--threads",
            threads);
    assertThat(result.exit()).as(result.err()).isZero();
    return result.out();
  }

  @Test
  void standardInputIsTheSamePrompt() {
    Program.Result typed = run("", MODEL, "--prompt", "The Senate", "--tokens", "6");
    assertThat(typed.exit()).as(typed.err()).isZero();
    assertThat(typed.err()).startsWith("5 tokens, up to 6 more");
    assertThat(run("The Senate\r\n", MODEL, "--prompt", "-", "--tokens", "6").out())
        .isEqualTo(typed.out());
  }

  @Test
  void endsAtAnEndToken() throws IOException {
    List<String> usual =
        List.of(run("", MODEL, "--ids", "--prompt", "0 40 71", "--tokens", "4").out().split("\\s"));
    assertThat(usual).hasSize(4);
    Path model = SampleModel.copy(SampleModel.BF16, folder.resolve("model"));
    Files.writeString(
        model.resolve("generation_config.json"), "{\"eos_token_id\": [1, " + usual.get(2) + "]}");
    Program.Result ended =
        run("", model.toString(), "--ids", "--prompt", "0 40 71", "--tokens", "4");
    assertThat(ended.out()).isEqualTo(usual.get(0) + " " + usual.get(1) + "\n");
    assertThat(ended.err()).contains("2 added");
  }

  @Test
  void whatExceedsTheContextIsRefused() throws IOException {
    Path copy = SampleModel.copy(SampleModel.BF16, folder.resolve("model"));
    String config = Files.readString(copy.resolve("config.json"));
    Files.writeString(
        copy.resolve("config.json"),
        config.replace("\"max_position_embeddings\": 512", "\"max_position_embeddings\": 16"));
    String model = copy.toString();
    Program.Result refused = run("", model, "--ids", "--prompt", "0 1 2", "--tokens", "14");
    assertThat(refused.exit()).isEqualTo(4);
    assertThat(refused.err())
        .contains("a prompt of 3 tokens and 14 more")
        .contains("at most 16 tokens")
        .contains("--tokens 13");
    String full = "7 ".repeat(16);
    Program.Result tooLong = run("", model, "--ids", "--prompt", full);
    assertThat(tooLong.exit()).isEqualTo(4);
    assertThat(tooLong.err()).contains("give a shorter prompt");
    Program.Result fits = run("", model, "--ids", "--prompt", full.substring(4));
    assertThat(fits.exit()).as(fits.err()).isZero();
    assertThat(fits.err()).contains("14 tokens, up to 2 more");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--prompt x --seed 1                      | --seed needs --temperature",
        "--prompt x --top-p 0.5                   | --top-p needs --temperature",
        "--prompt x --temperature -1              | --temperature -1.0",
        "--prompt x --temperature 1 --top-p 1.5   | --top-p 1.5",
        "--prompt x --tokens 0                    | --tokens 0: at least 1",
        "--prompt x --threads 0                   | --threads 0: at least 1",
        "--prompt x --ids                         | 'x' is no token id",
        "--prompt 1536 --ids                      | token id 1536; this model has 0 to 1535",
        "--prompt , --ids                         | no token",
        "--tokens 5                               | --prompt",
      })
  void aWrongCommandLineEndsWith2(String arguments, String message) {
    Program.Result result =
        run(
            "",
            Stream.concat(Stream.of(MODEL), Stream.of(arguments.split(" ")))
                .toArray(String[]::new));
    assertThat(result.exit()).isEqualTo(2);
    assertThat(result.err()).contains(message);
    assertThat(result.out()).isEmpty();
  }

  @Test
  void aModelWithoutATokenizerTakesIds() throws IOException {
    Path model = SampleModel.copy(SampleModel.FP8, folder.resolve("model"));
    Files.delete(model.resolve("tokenizer.json"));
    Program.Result text = run("", model.toString(), "--prompt", "The");
    assertThat(text.exit()).isEqualTo(3);
    assertThat(text.err()).contains("without tokenizer.json").contains("token ids");
    Program.Result ids = run("", model.toString(), "--ids", "--prompt", "[0, 40]", "--tokens", "3");
    assertThat(ids.exit()).as(ids.err()).isZero();
    assertThat(ids.out()).matches("\\d+ \\d+ \\d+\\n");
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama", "qwen2", "qwen3-moe", "mixtral", "deepseek-v2-lite"})
  void everyArchitectureGoesOn(String name) {
    Path model =
        Checkout.root().resolve("calibrate/src/test/resources/models").resolve(name + "/model");
    Program.Result result =
        run("", model.toString(), "--ids", "--prompt", "1 2 3", "--tokens", "3");
    assertThat(result.exit()).as(result.err()).isZero();
    assertThat(result.out()).matches("\\d+ \\d+ \\d+\\n");
  }

  @Test
  void endsWhenNobodyReadsTheAnswer() {
    OutputStream closed =
        new OutputStream() {
          @Override
          public void write(int b) throws IOException {
            throw new IOException("Broken pipe");
          }
        };
    ByteArrayOutputStream err = new ByteArrayOutputStream();
    assertThat(run(closed, err, "", MODEL, "--prompt", "The", "--tokens", "500")).isZero();
    assertThat(err.toString(UTF_8)).contains("0 added");
  }

  @Test
  void aSignalEndsItAtOnceAndNothingIsLeftBehind() throws Exception {
    Path temporary = Files.createDirectory(folder.resolve("tmp"));
    Path messages = folder.resolve("messages");
    Process process =
        Program.smelt()
            .jvm("-Djava.io.tmpdir=" + temporary)
            .start(messages, "generate", MODEL, "--prompt", "The", "--tokens", "500");
    long limit = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
    while (!Files.readString(messages).contains("up to 500 more") && System.nanoTime() < limit) {
      Thread.sleep(20);
    }
    process.destroy();
    assertThat(process.waitFor(10, TimeUnit.SECONDS)).isTrue();
    assertThat(process.exitValue()).as(Files.readString(messages)).isEqualTo(128 + 15);
    try (Stream<Path> left = Files.list(temporary)) {
      assertThat(left.filter(file -> file.toString().contains("smelt"))).isEmpty();
    }
  }

  private static String words(JsonNode ids) {
    return IntStream.range(0, ids.size())
        .mapToObj(i -> Integer.toString(ids.get(i).intValue()))
        .collect(Collectors.joining(" "));
  }

  /// Runs the command in this process.
  private static Program.Result run(String input, String... arguments) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    ByteArrayOutputStream err = new ByteArrayOutputStream();
    int exit = run(out, err, input, arguments);
    return new Program.Result(exit, out.toString(UTF_8), err.toString(UTF_8));
  }

  private static int run(OutputStream out, OutputStream err, String input, String... arguments) {
    Terminal terminal = new Terminal(out, err, false, false, false);
    GenerateCommand command =
        new GenerateCommand(terminal, new ByteArrayInputStream(input.getBytes(UTF_8)));
    String[] all =
        Stream.concat(Stream.of("generate"), Stream.of(arguments)).toArray(String[]::new);
    return Cli.run(terminal, List.of(command), all);
  }
}
