package smelt.verify.inference;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import smelt.formats.checkpoint.Architecture;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.SyntheticCheckpoint;
import smelt.formats.checkpoint.SyntheticCheckpoint.Form;
import smelt.formats.checkpoint.Weight;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;
import smelt.verify.quality.ModelChanges;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

class DifferencesTest {

  private static final SyntheticCheckpoint MODEL =
      SyntheticCheckpoint.of(Architecture.DEEPSEEK_V3).with("num_nextn_predict_layers", 1);

  @TempDir Path folder;
  private Path source;
  private Path result;

  @BeforeEach
  void write() throws IOException {
    source = MODEL.write(folder.resolve("source"));
    result = MODEL.form(Form.INT8_CHANNEL).write(folder.resolve("result"));
  }

  private ModelChanges changes() throws IOException {
    try (ModelSource from = ModelSources.open(source);
        ModelSource to = ModelSources.open(result)) {
      Verification.Model before = new Verification.Model(from, Checkpoint.open(from));
      Verification.Model after = new Verification.Model(to, Checkpoint.open(to));
      return Differences.of(
          before,
          after,
          lacking(before.checkpoint(), after.checkpoint()),
          lacking(after.checkpoint(), before.checkpoint()));
    }
  }

  private static List<String> lacking(Checkpoint of, Checkpoint in) {
    return of.weights().stream()
        .map(Weight::name)
        .filter(name -> in.weight(name).isEmpty())
        .toList();
  }

  private static void set(Path model, String key, String json) throws IOException {
    Path file = model.resolve("config.json");
    ObjectNode config = (ObjectNode) JsonMapper.shared().readTree(Files.readString(file));
    config.set(key, JsonMapper.shared().readTree(json));
    Files.writeString(file, config.toString());
  }

  @Test
  void anotherEncodingAloneIsNoChange() throws IOException {
    assertThat(changes()).isEqualTo(ModelChanges.NONE);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "rope_theta; 10001; -> 10001",
        "rms_norm_eps; 1e-5; -> 1.0E-5",
        "eos_token_id; 7; -> 7",
        "a_key_of_tomorrow; [1]; absent -> [1]",
        "architectures; [\"Other\", \"DeepseekV3ForCausalLM\"]; ForCausalLM\"]"
      })
  void aKeyThatChangesTheModelIsAFault(String key, String json, String said) throws IOException {
    if (key.equals("architectures")) {
      set(source, key, "[\"DeepseekV3ForCausalLM\", \"Other\"]");
      set(result, key, "[\"DeepseekV3ForCausalLM\"]");
    } else {
      set(result, key, json);
    }
    assertThat(changes().config())
        .singleElement()
        .satisfies(
            change -> assertThat(change).startsWith("config.json " + key + ": ").contains(said));
  }

  @Test
  void aKeyThatNoForwardPassReadsIsExpected() throws IOException {
    set(source, "torch_dtype", "\"float32\"");
    set(result, "torch_dtype", "\"bfloat16\"");
    set(source, "quantization_config", "null");
    ModelChanges changes = changes();
    assertThat(changes.faults()).isEmpty();
    assertThat(changes.expected())
        .containsExactly("config.json torch_dtype: \"float32\" -> \"bfloat16\".");
  }

  @Test
  void numbersAreEqualHoweverTheyAreWrittenAndNullIsAbsent() throws IOException {
    set(source, "rope_theta", "10000");
    set(result, "rope_theta", "1.0e4");
    set(source, "some_key", "null");
    set(source, "list", "[1, {\"a\": 2.0}]");
    set(result, "list", "[1.0, {\"a\": 2}]");
    assertThat(changes()).isEqualTo(ModelChanges.NONE);
  }

  @Test
  void droppedMtpLayersAreExpectedWhereTheConfigSaysSo() throws IOException {
    result = MODEL.with("num_nextn_predict_layers", 0).write(folder.resolve("without multi-token"));
    ModelChanges changes = changes();
    assertThat(changes.faults()).isEmpty();
    assertThat(changes.expected())
        .singleElement()
        .satisfies(change -> assertThat(change).contains("multi-token prediction were left out"));
  }

  @Test
  void lostAndAddedWeightsAreFaultsByName() throws IOException {
    SyntheticCheckpoint model = SyntheticCheckpoint.of(Architecture.LLAMA);
    source = model.with("tie_word_embeddings", false).write(folder.resolve("untied"));
    result = model.with("tie_word_embeddings", true).write(folder.resolve("tied"));
    assertThat(changes().faults())
        .containsExactly("config.json tie_word_embeddings: false -> true", "lost lm_head.weight");
    Path untied = source;
    source = result;
    result = untied;
    assertThat(changes().added()).containsExactly("lm_head.weight");
  }

  @Test
  void filesOfTheTokenizerMustBeTheSame() throws IOException {
    Files.writeString(source.resolve("tokenizer.json"), "{\"a\": [1, 2], \"b\": 3}");
    Files.writeString(result.resolve("tokenizer.json"), "{\"b\": 3.0,\n\"a\": [1, 2]}");
    Files.writeString(source.resolve("tokenizer.model"), "abc");
    Files.writeString(result.resolve("tokenizer.model"), "abd");
    Files.writeString(source.resolve("merges.txt"), "a b");
    Files.writeString(result.resolve("chat_template.jinja"), "{{ x }}");
    Files.writeString(result.resolve("README.md"), "Not compared.");
    assertThat(changes().files())
        .containsExactly(
            "chat_template.jinja: added", "merges.txt: lost", "tokenizer.model: other content");
  }

  @Test
  void aLargeFileIsComparedToItsLastByte() throws IOException {
    byte[] bytes = new byte[(2 << 20) + 5];
    Files.write(source.resolve("tokenizer.json"), bytes);
    Files.write(result.resolve("tokenizer.json"), bytes);
    assertThat(changes().files()).isEmpty();
    bytes[bytes.length - 1] = 1;
    Files.write(result.resolve("tokenizer.json"), bytes);
    assertThat(changes().files()).containsExactly("tokenizer.json: other content");
  }

  @Test
  void theGenerationConfigIsComparedByKey() throws IOException {
    Files.writeString(
        source.resolve("generation_config.json"),
        "{\"eos_token_id\": 1, \"temperature\": 0.6, \"transformers_version\": \"4.1\"}");
    Files.writeString(
        result.resolve("generation_config.json"), "{\"temperature\": 1, \"eos_token_id\": [1]}");
    assertThat(changes().files())
        .containsExactly(
            "generation_config.json eos_token_id: 1 -> [1]",
            "generation_config.json temperature: 0.6 -> 1");
  }

  @Test
  void codeIsComparedWhereTheResultStillNamesIt() throws IOException {
    List<String> all = new ArrayList<>();
    for (Path model : List.of(source, result)) {
      set(model, "auto_map", "{\"AutoModel\": \"modeling.Model\"}");
      Files.writeString(model.resolve("modeling.py"), "pass");
    }
    all.addAll(changes().faults());
    Files.writeString(result.resolve("modeling.py"), "exit()");
    all.addAll(changes().faults());
    Files.delete(result.resolve("modeling.py"));
    all.addAll(changes().faults());
    set(result, "auto_map", "{\"AutoModel\": \"other.Model\"}");
    all.addAll(changes().config());
    assertThat(all)
        .containsExactly(
            "modeling.py: other content",
            "modeling.py: lost",
            "config.json auto_map.AutoModel: \"modeling.Model\" -> \"other.Model\"");
    set(result, "auto_map", "null");
    assertThat(changes().faults()).isEmpty();
    assertThat(changes().expected())
        .singleElement()
        .satisfies(change -> assertThat(change).endsWith("since its code is not carried."));
  }
}
