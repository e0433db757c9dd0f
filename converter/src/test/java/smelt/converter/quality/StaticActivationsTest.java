package smelt.converter.quality;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.converter.SampleModel;
import smelt.converter.run.Converting;
import smelt.converter.target.Target;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Weight;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;
import smelt.verify.quality.QualityReport;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// A result with static input scales is run with them: fitting ones change little, others much.
class StaticActivationsTest {

  private static final String SHARD = "input-scales.safetensors";
  private static final String INDEX = "model.safetensors.index.json";

  @TempDir Path folder;

  /// The sample as compressed-tensors INT8, one input scale for every linear.
  private Path made(String name, float scale) throws Exception {
    Path made = folder.resolve(name);
    Converting.to(Target.CT_INT8).run(SampleModel.path(SampleModel.FP8), made);
    Path config = made.resolve("config.json");
    JsonNode tree = JsonMapper.shared().readTree(Files.readString(config));
    for (JsonNode group : tree.get("quantization_config").get("config_groups")) {
      ((ObjectNode) group.get("input_activations")).put("dynamic", false).put("strategy", "tensor");
    }
    Files.writeString(config, tree.toString());
    addScales(made, scale);
    return made;
  }

  private static void addScales(Path made, float scale) throws IOException {
    List<String> modules;
    try (ModelSource source = ModelSources.open(made)) {
      modules =
          Checkpoint.open(source).weights().stream()
              .filter(weight -> weight.scale().isPresent())
              .map(Weight::name)
              .map(name -> name.substring(0, name.lastIndexOf('.')))
              .toList();
    }
    Path index = made.resolve(INDEX);
    JsonNode tree = JsonMapper.shared().readTree(Files.readString(index));
    ObjectNode header = JsonMapper.shared().createObjectNode();
    for (int i = 0; i < modules.size(); i++) {
      String name = modules.get(i) + ".input_scale";
      ((ObjectNode) tree.get("weight_map")).put(name, SHARD);
      ObjectNode tensor = header.putObject(name).put("dtype", "F32");
      tensor.putArray("shape").add(1);
      tensor.putArray("data_offsets").add(4 * i).add(4 * i + 4);
    }
    Files.writeString(index, tree.toString());
    byte[] json = header.toString().getBytes(StandardCharsets.UTF_8);
    ByteBuffer bytes = ByteBuffer.allocate(8 + json.length + 4 * modules.size());
    bytes.order(ByteOrder.LITTLE_ENDIAN).putLong(json.length).put(json);
    modules.forEach(_ -> bytes.putFloat(scale));
    Files.write(made.resolve(SHARD), bytes.array());
  }

  private static QualityReport verify(Path result) throws IOException {
    return Verifying.on(128, 512).run(result, SampleModel.path(SampleModel.FP8));
  }

  @Test
  void aFittingScaleMovesLittleAndOneTenTimesTooLargeMuch() throws Exception {
    QualityReport fitting = verify(made("fitting", 0.2f));
    QualityReport coarse = verify(made("coarse", 2));
    double small = fitting.summary().orElseThrow().forcedKl().mean();
    double large = coarse.summary().orElseThrow().forcedKl().mean();
    System.out.printf(
        "static INT8 inputs: mean KL %.3g, scales 10 times as large %.3g%n", small, large);
    assertThat(fitting.subject().activations()).isEqualTo("INT8 with a static scale");
    assertThat(small).isBetween(1e-4, 0.05);
    assertThat(large).isGreaterThan(5 * small);
  }
}
