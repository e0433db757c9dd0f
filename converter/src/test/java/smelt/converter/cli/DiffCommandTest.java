package smelt.converter.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.converter.Program;
import smelt.converter.SampleModel;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class DiffCommandTest {

  private static final String EXPERT = "model.layers.2.mlp.experts.7.down_proj.weight";
  private static final String NORM = "model.norm.weight";

  @TempDir Path folder;
  private Path other;

  @BeforeEach
  void copy() {
    other = SampleModel.copy(SampleModel.FP8, folder.resolve("other"));
  }

  @Test
  void aCopyIsNoDifference() {
    Program.Result result = diff();
    assertThat(result.out()).isEqualTo("501 tensors the same\nno difference\n");
    assertThat(result.exit()).isZero();
  }

  @Test
  void oneOtherBitIsFoundAndItsElementNamed() throws IOException {
    flip(EXPERT, 128 * 256 - 1);
    flip(NORM, 5);
    JsonNode json = diffJson();
    assertThat(json.get("equal").asBoolean()).isFalse();
    assertThat(json.get("same_tensors").asLong()).isEqualTo(499);
    assertThat(json.get("contents").size()).isEqualTo(2);
    assertThat(json.get("contents").get(0).get("name").asString()).isEqualTo(EXPERT);
    assertThat(json.get("contents").get(0).get("element").asLong()).isEqualTo(128 * 256 - 1);
    assertThat(json.get("contents").get(1).get("name").asString()).isEqualTo(NORM);
    assertThat(json.get("contents").get(1).get("element").asLong()).isEqualTo(2);
    Program.Result headers = diff("--headers-only");
    assertThat(headers.exit()).isZero();
    assertThat(headers.out()).startsWith("501 tensors alike in type and shape\n");
  }

  @Test
  void configIsComparedByMeaning() throws IOException {
    Path config = other.resolve("config.json");
    String text = Files.readString(config);
    Files.writeString(config, text.replace("\n", " \n"));
    assertThat(diff().exit()).isZero();
    Files.writeString(config, text.replaceFirst("\\{", "{\"a/b\": {\"c\": [1]},"));
    Program.Result result = diff();
    assertThat(result.exit()).isEqualTo(1);
    assertThat(result.out()).contains("config.json (1)\n  /a~1b: absent | {\"c\":[1]}\n");
  }

  @Test
  void otherFilesAreComparedByBytes() throws IOException {
    Files.writeString(other.resolve("tokenizer_config.json"), " ", StandardOpenOption.APPEND);
    Files.writeString(other.resolve("chat_template.jinja"), "{{ x }}");
    Files.delete(other.resolve("README.md"));
    Program.Result result = diff();
    assertThat(result.exit()).isEqualTo(1);
    assertThat(result.out())
        .contains(
            """
            other files (3)
              README.md: only in a
              chat_template.jinja: only in b
              tokenizer_config.json: other bytes
            """);
  }

  @Test
  void anotherEncodingIsAnotherTypeAndMissingScales() {
    Program.Result result =
        Program.run(
            "diff",
            "--quiet",
            SampleModel.path(SampleModel.BF16).toString(),
            SampleModel.path(SampleModel.FP8).toString());
    assertThat(result.exit()).isEqualTo(1);
    assertThat(result.out())
        .contains("tensors only in B (232)")
        .contains("tensors of another type or shape (232)")
        .contains("mlp.down_proj.weight: BF16 [256, 384] | F8_E4M3 [256, 384]")
        .contains("/quantization_config: absent | {")
        .contains("and 212 more")
        .endsWith("the models differ\n");
  }

  @Test
  void progressIsPlainLinesInAPipeAndNoneWhenQuiet() {
    String a = SampleModel.path(SampleModel.FP8).toString();
    Program.Result result = Program.run("diff", a, other.toString());
    assertThat(result.err()).matches("diff  100 %[^\\p{Cntrl}]*units 501/501[^\\p{Cntrl}]*\\R");
    assertThat(diff().err()).isEmpty();
  }

  private Program.Result diff(String... options) {
    String[] args = new String[options.length + 4];
    args[0] = "diff";
    args[1] = "--quiet";
    args[2] = SampleModel.path(SampleModel.FP8).toString();
    args[3] = other.toString();
    System.arraycopy(options, 0, args, 4, options.length);
    return Program.run(args);
  }

  private JsonNode diffJson() {
    Program.Result result = diff("--json");
    assertThat(result.exit()).isEqualTo(1);
    return JsonMapper.shared().readTree(result.out());
  }

  /// Changes one bit of a stored tensor of the copy.
  private void flip(String tensor, long byteOffset) throws IOException {
    SourceTensor stored;
    try (ModelSource source = ModelSources.open(other)) {
      stored = Checkpoint.open(source).weight(tensor).orElseThrow().codes();
    }
    try (FileChannel channel =
        FileChannel.open(
            other.resolve(stored.file()), StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      ByteBuffer one = ByteBuffer.allocate(1);
      channel.read(one, stored.offset() + byteOffset);
      one.put(0, (byte) (one.get(0) ^ 1)).rewind();
      channel.write(one, stored.offset() + byteOffset);
    }
  }
}
