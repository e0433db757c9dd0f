package smelt.converter.quality;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.withinPercentage;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.BeforeAll;
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

  private static final float FITTING = 0.25f;

  @TempDir static Path folder;

  /// The sample as compressed-tensors INT8.
  private static Path plain;

  /// Of the result whose scales fit.
  private static QualityReport symmetric;

  @BeforeAll
  static void prepare() throws Exception {
    plain = folder.resolve("plain");
    Converting.to(Target.CT_INT8).run(SampleModel.path(SampleModel.FP8), plain);
    symmetric = verify(made("symmetric", FITTING, OptionalInt.empty()));
  }

  /// The converted sample with one input scale for every linear.
  ///
  /// @param zeroPoint as many; none for symmetric codes
  private static Path made(String name, float scale, OptionalInt zeroPoint) throws IOException {
    Path made = Files.createDirectory(folder.resolve(name));
    try (DirectoryStream<Path> files = Files.newDirectoryStream(plain)) {
      for (Path file : files) {
        Files.copy(file, made.resolve(file.getFileName()));
      }
    }
    Path config = made.resolve("config.json");
    JsonNode tree = JsonMapper.shared().readTree(Files.readString(config));
    for (JsonNode group : tree.get("quantization_config").get("config_groups")) {
      ((ObjectNode) group.get("input_activations"))
          .put("dynamic", false)
          .put("strategy", "tensor")
          .put("symmetric", zeroPoint.isEmpty());
    }
    Files.writeString(config, tree.toString());
    addScales(made, scale, zeroPoint);
    return made;
  }

  private static void addScales(Path made, float scale, OptionalInt zeroPoint) throws IOException {
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
    int count = modules.size();
    for (int i = 0; i < count; i++) {
      add(header, tree, modules.get(i) + ".input_scale", "F32", 4 * i, 4);
      if (zeroPoint.isPresent()) {
        add(header, tree, modules.get(i) + ".input_zero_point", "I8", 4 * count + i, 1);
      }
    }
    Files.writeString(index, tree.toString());
    byte[] json = header.toString().getBytes(StandardCharsets.UTF_8);
    int data = count * (zeroPoint.isPresent() ? 5 : 4);
    ByteBuffer bytes = ByteBuffer.allocate(8 + json.length + data);
    bytes.order(ByteOrder.LITTLE_ENDIAN).putLong(json.length).put(json);
    modules.forEach(_ -> bytes.putFloat(scale));
    zeroPoint.ifPresent(zero -> modules.forEach(_ -> bytes.put((byte) zero)));
    Files.write(made.resolve(SHARD), bytes.array());
  }

  private static void add(
      ObjectNode header, JsonNode index, String name, String type, int offset, int bytes) {
    ((ObjectNode) index.get("weight_map")).put(name, SHARD);
    ObjectNode tensor = header.putObject(name).put("dtype", type);
    tensor.putArray("shape").add(1);
    tensor.putArray("data_offsets").add(offset).add(offset + bytes);
  }

  private static QualityReport verify(Path result) throws IOException {
    return Verifying.on(128, 512).run(result, SampleModel.path(SampleModel.FP8));
  }

  @Test
  void aFittingScaleMovesLittleAndOneTenTimesTooLargeMuch() throws Exception {
    QualityReport coarse = verify(made("coarse", 10 * FITTING, OptionalInt.empty()));
    double small = symmetric.summary().orElseThrow().forcedKl().mean();
    double large = coarse.summary().orElseThrow().forcedKl().mean();
    System.out.printf(
        "static INT8 inputs: mean KL %.3g, scales 10 times as large %.3g%n", small, large);
    assertThat(symmetric.subject().activations()).isEqualTo("INT8 with a static scale");
    assertThat(small).isBetween(1e-4, 0.05);
    assertThat(large).isGreaterThan(5 * small);
  }

  /// With a zero point of 0 the codes are the symmetric ones but for the last bit of a quotient;
  /// with one of 100 nothing above 27 scales is left.
  @Test
  void aZeroPointMovesTheRange() throws Exception {
    QualityReport centred = verify(made("centred", FITTING, OptionalInt.of(0)));
    QualityReport moved = verify(made("moved", FITTING, OptionalInt.of(100)));
    double none = symmetric.summary().orElseThrow().forcedKl().mean();
    double zero = centred.summary().orElseThrow().forcedKl().mean();
    double far = moved.summary().orElseThrow().forcedKl().mean();
    System.out.printf(
        "static INT8 inputs: mean KL %.3g, zero point 0 %.3g, 100 %.3g%n", none, zero, far);
    assertThat(moved.subject().activations()).isEqualTo("INT8 with a static scale and offset");
    assertThat(zero).isCloseTo(none, withinPercentage(1));
    assertThat(far).isGreaterThan(2 * none);
  }
}
