package smelt.formats.checkpoint;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import smelt.formats.BadInputException;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.QuantizationConfig.BlockSize;
import smelt.formats.codec.ScaleFormat;

class ModelConfigTest {

  private static ModelConfig parse(String json) {
    return ModelConfig.parse("config.json", json.getBytes(UTF_8));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"", "[]", "null", "{", "{} {}", "{\"a\":1,\"a\":2}", "{\"a\":{\"b\":1,\"b\":1}}"})
  void refusesWhatIsNotOneStrictObject(String json) {
    assertThatThrownBy(() -> parse(json))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("config.json");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"0", "-1", "\"61\"", "61.5", "1e99", "99999999999999999999", "true", "[61]"})
  void namesTheKeyOfAWrongNumber(String value) {
    ModelConfig config = parse("{\"num_hidden_layers\": " + value + "}");
    assertThatThrownBy(config::numHiddenLayers)
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("num_hidden_layers = ")
        .hasMessageContaining("a whole number from 1 to 10000");
  }

  @Test
  void namesAMissingKey() {
    assertThatThrownBy(parse("{\"hidden_size\": null}")::hiddenSize)
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("no hidden_size");
  }

  @Test
  void takesNullForAbsent() {
    ModelConfig config = parse("{\"q_lora_rank\": null, \"n_shared_experts\": null}");
    assertThat(config.qLoraRank()).isEmpty();
    assertThat(config.sharedExperts()).isZero();
    assertThat(config.moeLayerFrequency()).isEqualTo(1);
    assertThat(config.tiedEmbeddings()).isFalse();
    assertThat(config.quantization()).isEmpty();
  }

  @Test
  void keepsTheWholeTreeInItsOrderAndHandsOutCopies() {
    String json = "{\"z\":1,\"unknown\":{\"b\":[1.5,null],\"a\":\"x\"},\"hidden_size\":8}";
    ModelConfig config = parse(json);
    assertThat(config.tree().toString()).isEqualTo(json);
    config.tree().put("hidden_size", 9);
    assertThat(config.hiddenSize()).isEqualTo(8);
  }

  @Test
  void readsTheQuantizationOfDeepSeek() {
    QuantizationConfig fp8 =
        parse(
                """
                {"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 64],
                 "scale_fmt": "ue8m0"}}
                """)
            .quantization()
            .orElseThrow();
    assertThat(fp8.method()).contains("fp8");
    assertThat(fp8.block()).contains(new BlockSize(128, 64));
    assertThat(fp8.scaleFormat()).isEqualTo(ScaleFormat.UE8M0);
  }

  @Test
  void readsTheBlockStructureOfCompressedTensors() {
    QuantizationConfig blocks =
        parse(
                """
                {"quantization_config": {"quant_method": "compressed-tensors",
                 "format": "float-quantized", "config_groups": {"group_0": {"weights":
                 {"strategy": "block", "block_structure": [128, 128]}}}}}
                """)
            .quantization()
            .orElseThrow();
    assertThat(blocks.format()).contains("float-quantized");
    assertThat(blocks.block()).contains(new BlockSize(128, 128));
    assertThat(blocks.scaleFormat()).isEqualTo(ScaleFormat.FLOAT);
  }

  @ParameterizedTest
  @ValueSource(strings = {"[128]", "[0, 128]", "\"128x128\"", "{\"a\": 1, \"b\": 2}"})
  void refusesABlockSizeThatIsNone(String size) {
    ModelConfig config = parse("{\"quantization_config\": {\"weight_block_size\": " + size + "}}");
    assertThatThrownBy(config::quantization)
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("weight block size");
  }

  @Test
  void refusesAnUnknownScaleFormatInWords() {
    ModelConfig config = parse("{\"quantization_config\": {\"scale_fmt\": \"e5m10\"}}");
    assertThatThrownBy(config::quantization)
        .isInstanceOf(UnsupportedException.class)
        .hasMessageContaining("scale_fmt \"e5m10\"");
  }

  @Test
  void refusesMoreExpertsThanAnyModelHas() {
    ModelConfig config = parse("{\"num_hidden_layers\": 10000, \"n_routed_experts\": 2147483647}");
    assertThatThrownBy(() -> Architecture.DEEPSEEK_V3.weights(config, _ -> {}))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("10000 layers of 2147483647 experts");
  }

  @Test
  void readsNumbersInSections() {
    ModelConfig config =
        parse("{\"rope_scaling\": {\"factor\": 40, \"mscale\": 0.707, \"x\": null}}");
    ModelConfig section = config.section("rope_scaling").orElseThrow();
    assertThat(section.number("factor")).hasValue(40);
    assertThat(section.number("mscale")).hasValue(0.707);
    assertThat(section.number("x")).isEmpty();
    assertThat(config.section("rope_parameters")).isEmpty();
    assertThat(config.number("factor")).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(strings = {"\"40\"", "1e999", "true", "[40]", "{}"})
  void namesTheSectionAndTheKeyOfWhatIsNoNumber(String value) {
    ModelConfig section =
        parse("{\"rope_scaling\": {\"factor\": " + value + "}}")
            .section("rope_scaling")
            .orElseThrow();
    assertThatThrownBy(() -> section.number("factor"))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("config.json: rope_scaling")
        .hasMessageContaining("factor = ")
        .hasMessageContaining("a finite number");
  }

  @Test
  void refusesASectionThatIsNoObject() {
    assertThatThrownBy(() -> parse("{\"rope_scaling\": \"yarn\"}").section("rope_scaling"))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("rope_scaling = \"yarn\"");
  }
}
