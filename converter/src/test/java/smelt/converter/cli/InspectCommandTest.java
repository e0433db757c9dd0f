package smelt.converter.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.converter.Program;
import smelt.converter.SampleModel;
import smelt.converter.run.Converting;
import smelt.converter.target.Target;
import smelt.formats.Share;
import smelt.formats.checkpoint.DeepSeekV3Fixture;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class InspectCommandTest {

  @TempDir Path folder;

  @Test
  void addsUpTheFp8Sample() {
    JsonNode json = inspect("--json");
    assertThat(json.get("architecture").asString()).isEqualTo("DeepseekV3ForCausalLM");
    assertThat(json.get("tensors").asLong()).isEqualTo(501);
    assertThat(json.get("tensor_bytes").asLong()).isEqualTo(11_702_012);
    // 4 layers x 16 experts with 3 matrices of 128 x 256, and one scale a block of 128 x 128
    JsonNode experts = json.get("roles").get("routed_expert");
    assertThat(experts.get("tensors").asLong()).isEqualTo(2 * 4 * 16 * 3);
    assertThat(experts.get("parameters").asLong()).isEqualTo(4 * 16 * 3 * 128 * 256);
    assertThat(experts.get("bytes").asLong()).isEqualTo(4 * 16 * 3 * (128 * 256 + 2 * 4));
    for (String group : new String[] {"roles", "layer_kinds", "encodings", "element_types"}) {
      assertThat(json.get(group).valueStream().mapToLong(t -> t.get("bytes").asLong()).sum())
          .as(group)
          .isEqualTo(11_702_012);
    }
    assertThat(json.get("encodings").get("F8_E4M3 in 128 x 128 blocks, F32 scales")).isNotNull();
  }

  @Test
  void showsGgufFiles() throws Exception {
    Path out = folder.resolve("gguf");
    Converting.to(Target.GGUF).run(SampleModel.path(SampleModel.FP8), out);
    Program.Result text = Program.run("inspect", "--tensors", out.toString());
    assertThat(text.exit()).as(text.err()).isZero();
    assertThat(text.out())
        .contains("GGUF of deepseek2", "deepseek2.block_count = 4", "blk.2.attn_k_b.weight");
    JsonNode json =
        JsonMapper.shared()
            .readTree(Program.run("inspect", "--json", "--tensors", out.toString()).out());
    assertThat(json.get("tensors").asInt()).isEqualTo(70);
    assertThat(json.get("tensor_list").valueStream().mapToLong(t -> t.get("bytes").asLong()).sum())
        .isEqualTo(json.get("tensor_bytes").asLong());
    assertThat(json.get("types").valueStream().mapToLong(t -> t.get("tensors").asLong()).sum())
        .isEqualTo(70);
  }

  @Test
  void listsEveryStoredTensorWithItsPlace() throws IOException {
    JsonNode json = inspect("--json", "--tensors");
    JsonNode list = json.get("tensor_list");
    assertThat(list.size()).isEqualTo(501);
    assertThat(list.valueStream().mapToLong(t -> t.get("bytes").asLong()).sum())
        .isEqualTo(11_702_012);
    for (JsonNode tensor : list) {
      Path file = SampleModel.path(SampleModel.FP8).resolve(tensor.get("file").asString());
      assertThat(tensor.get("offset").asLong() + tensor.get("bytes").asLong())
          .isLessThanOrEqualTo(Files.size(file));
    }
  }

  @Test
  void showsAPersonTheSameSums() {
    Program.Result result =
        Program.run("inspect", "--tensors", SampleModel.path(SampleModel.FP8).toString());
    assertThat(result.exit()).isZero();
    assertThat(result.err()).isEmpty();
    assertThat(result.out())
        .containsPattern("routed_expert +384 +6,291,456 +6,292,992\n")
        .contains("model.layers.4.shared_head.head.weight  BF16 [1536, 256]  786,432 bytes");
  }

  /// The figures are those of the published model; its shards are sparse files of their true sizes.
  @Test
  void deepSeekV3IsAsPublishedAndNeedsNoMoreThan512MiBOfHeap() throws IOException {
    Path model = Files.createDirectories(folder.resolve("deepseek-v3"));
    DeepSeekV3Fixture.write(model);
    Program small = Program.smelt().bare().brief().jvm("-Xmx512m");
    boolean inSmallHeap = Share.of(false, true);
    String[] words = {"inspect", "--json", model.toString()};
    Program.Result result = inSmallHeap ? small.go(words) : Program.run(words);
    assertThat(result.err()).isEmpty();
    JsonNode json = JsonMapper.shared().readTree(result.out());
    assertThat(json.get("tensors").asLong()).isEqualTo(91_991);
    assertThat(json.get("tensor_bytes").asLong()).isEqualTo(688_574_839_360L);
    assertThat(json.get("roles").get("routed_expert").get("bytes").asLong())
        .isEqualTo(665_345_458_176L);
    JsonNode kinds = json.get("layer_kinds");
    assertThat(kinds.get("outside").get("bytes").asLong()).isEqualTo(3_706_730_496L);
    assertThat(kinds.get("dense").get("bytes").asLong()).isEqualTo(3 * 583_642_336L);
    assertThat(kinds.get("experts").get("bytes").asLong()).isEqualTo(58 * 11_511_947_488L);
    assertThat(kinds.get("mtp").get("bytes").asLong()).isEqualTo(15_424_227_552L);
  }

  /// The real program, brought to an end that it does not foresee: a heap that is far too small.
  @Test
  void aHeapThatRunsOutEndsWith70AndSaysSo() throws IOException {
    Path model = Files.createDirectories(folder.resolve("deepseek-v3"));
    DeepSeekV3Fixture.write(model);
    Program.Result result =
        Program.smelt()
            .bare()
            .jvm("-XX:+UseSerialGC", "-Xmx12m")
            .go("inspect", "--json", model.toString());
    assertThat(result.err())
        .startsWith("error: this is a fault in Smelt")
        .contains("java.lang.OutOfMemoryError");
    assertThat(result.exit()).isEqualTo(70);
    assertThat(result.out()).isEmpty();
  }

  @Test
  void aMissingModelEndsWith3() {
    Program.Result result = Program.smelt().brief().in(folder).go("inspect", "nothing-here");
    assertThat(result.exit()).isEqualTo(3);
    assertThat(result.err()).startsWith("error: nothing-here: found nothing there\n");
    assertThat(result.out()).isEmpty();
  }

  @Test
  void aCutShardEndsWith3AndItsName() throws IOException {
    Path model = SampleModel.copy(SampleModel.FP8, folder.resolve("model"));
    Path shard = model.resolve("model-00002-of-00003.safetensors");
    try (FileChannel channel = FileChannel.open(shard, StandardOpenOption.WRITE)) {
      channel.truncate(Files.size(shard) - 1);
    }
    Program.Result result = Program.run("inspect", model.toString());
    assertThat(result.exit()).isEqualTo(3);
    assertThat(result.err()).startsWith("error: ").contains("model-00002-of-00003.safetensors");
  }

  private static JsonNode inspect(String... options) {
    String[] args = new String[options.length + 2];
    args[0] = "inspect";
    args[1] = SampleModel.path(SampleModel.FP8).toString();
    System.arraycopy(options, 0, args, 2, options.length);
    Program.Result result = Program.run(args);
    assertThat(result.err()).isEmpty();
    assertThat(result.exit()).isZero();
    return JsonMapper.shared().readTree(result.out());
  }
}
