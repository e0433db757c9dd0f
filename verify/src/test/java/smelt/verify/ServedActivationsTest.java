package smelt.verify;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.calibrate.model.ActivationScheme;
import smelt.formats.Checkout;
import smelt.formats.ElementType;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.ScaleFormat;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

class ServedActivationsTest {

  private static final String EXPERT = "model.layers.2.mlp.experts.3.up_proj.weight";
  private static final ActivationScheme NONE = new ActivationScheme.None();

  @TempDir Path folder;

  /// The sample with another `quantization_config`; its codes stay E4M3 in blocks.
  private Path declared(String quantization) throws IOException {
    try (Stream<Path> files = Files.list(Checkout.root().resolve("samples/tiny-deepseek-v3-fp8"))) {
      for (Path file : files.toList()) {
        Files.copy(file, folder.resolve(file.getFileName()));
      }
    }
    Path config = folder.resolve("config.json");
    String text = Files.readString(config);
    int start = text.indexOf("\"quantization_config\"");
    int end = text.indexOf("}", start);
    Files.writeString(
        config,
        text.substring(0, start)
            + "\"quantization_config\": "
            + quantization
            + text.substring(end + 1));
    return folder;
  }

  private ActivationScheme scheme(String quantization, String weight) throws IOException {
    try (ModelSource source = ModelSources.open(declared(quantization))) {
      Checkpoint model = Checkpoint.open(source);
      return ServedActivations.read(source, model).of(model.weight(weight).orElseThrow());
    }
  }

  @Test
  void powersOfTwoInTheWeightsMeanPowersOfTwoInTheActivations() throws IOException {
    String quantization =
        "{\"quant_method\": \"fp8\", \"weight_block_size\": [128, 128], \"scale_fmt\": \"ue8m0\"}";
    assertThat(scheme(quantization, EXPERT))
        .isEqualTo(new ActivationScheme.PerGroup(ElementType.F8_E4M3, 128, ScaleFormat.UE8M0));
  }

  @Test
  void nativeFp8HasGroupsOfABlocksWidth() throws IOException {
    Path sample = Checkout.root().resolve("samples/tiny-deepseek-v3-fp8");
    try (ModelSource source = ModelSources.open(sample)) {
      Checkpoint model = Checkpoint.open(source);
      ServedActivations served = ServedActivations.read(source, model);
      assertThat(served.of(model.weight(EXPERT).orElseThrow()))
          .isEqualTo(new ActivationScheme.PerGroup(ElementType.F8_E4M3, 128));
      assertThat(served.of(model.weight("lm_head.weight").orElseThrow())).isEqualTo(NONE);
      assertThat(served.of(model.weight("model.layers.2.mlp.gate.weight").orElseThrow()))
          .isEqualTo(NONE);
      assertThat(served.of(model.weight("model.layers.2.self_attn.kv_b_proj.weight").orElseThrow()))
          .isEqualTo(NONE);
      assertThat(ServedActivations.label(served, model))
          .isEqualTo("E4M3 per token and 128 channels");
    }
  }

  @Test
  void plainWeightsAreFedPlainNumbers() throws IOException {
    try (ModelSource source =
        ModelSources.open(Checkout.root().resolve("samples/tiny-deepseek-v3"))) {
      Checkpoint model = Checkpoint.open(source);
      ServedActivations served = ServedActivations.read(source, model);
      assertThat(model.weights()).allMatch(weight -> served.of(weight).equals(NONE));
      assertThat(ServedActivations.label(served, model)).isEqualTo("none");
    }
  }

  @Test
  void compressedTensorsSaysItByGroup() throws IOException {
    String config =
        """
        {"quant_method": "compressed-tensors", "format": "float-quantized", "ignore": [],
         "config_groups": {"group_0": {"targets": ["Linear"],
           "weights": {"num_bits": 8, "type": "float", "strategy": "block",
             "block_structure": [128, 128], "symmetric": true, "dynamic": false},
           "input_activations": {"num_bits": 8, "type": "float", "strategy": "token",
             "symmetric": true, "dynamic": true}}}}
        """;
    assertThat(scheme(config, EXPERT))
        .isEqualTo(new ActivationScheme.PerToken(ElementType.F8_E4M3));
  }

  @Test
  void weightOnlyGroupsRoundNothing() throws IOException {
    String config =
        """
        {"quant_method": "compressed-tensors", "format": "float-quantized", "ignore": [],
         "config_groups": {"group_0": {"targets": ["Linear"],
           "weights": {"num_bits": 8, "type": "float", "strategy": "block",
             "block_structure": [128, 128], "symmetric": true, "dynamic": false}}}}
        """;
    assertThat(scheme(config, EXPERT)).isEqualTo(NONE);
  }

  @Test
  void aSchemeThatCannotBeSimulatedIsNamed() throws IOException {
    Path folder = declared("{\"quant_method\": \"awq\", \"weight_block_size\": [128, 128]}");
    try (ModelSource source = ModelSources.open(folder)) {
      Checkpoint model = Checkpoint.open(source);
      Weight weight = model.weight(EXPERT).orElseThrow();
      ServedActivations served = ServedActivations.read(source, model);
      assertThatThrownBy(() -> served.of(weight))
          .isInstanceOf(UnsupportedException.class)
          .hasMessageContaining("awq")
          .hasMessageContaining("--activations none");
    }
  }
}
