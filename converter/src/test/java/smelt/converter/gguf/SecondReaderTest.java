package smelt.converter.gguf;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import smelt.converter.SampleModel;
import smelt.formats.Checkout;
import smelt.formats.gguf.GgmlType;
import smelt.formats.gguf.GgufTensor;
import smelt.formats.gguf.GgufValue;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// A reader that shares nothing with Smelt finds in the files what was planned: every key with its
/// kind and value, every tensor with its dimensions, type and place.
class SecondReaderTest {

  private static final JsonMapper JSON = JsonMapper.builder().build();

  @TempDir Path folder;

  private static NodePackages reader;

  @BeforeAll
  static void install() throws IOException, InterruptedException {
    reader = NodePackages.install("gguf-reader", "dump.mjs");
  }

  private JsonNode read(Path file) throws IOException, InterruptedException {
    Path out = folder.resolve("found.json");
    Path log = reader.folder().resolve("dump.log");
    List<String> command = List.of("node", "dump.mjs", file.toAbsolutePath().toString());
    int status = reader.run(command, Path.of("/dev/null"), out, log);
    assertThat(status).as(Files.readString(log)).isZero();
    return JSON.readTree(Files.readAllBytes(out));
  }

  @ParameterizedTest
  @EnumSource(
      value = GgmlType.class,
      names = {"F16", "BF16", "Q8_0", "Q5_1", "Q4_K"})
  void readsTheSample(GgmlType type) throws IOException, InterruptedException {
    Path file = folder.resolve("sample.gguf");
    assertSame(Exported.of(SampleModel.path(SampleModel.FP8), type, file), read(file));
  }

  @ParameterizedTest
  @EnumSource
  void readsOtherArchitectures(Planted model) throws IOException, InterruptedException {
    Path file = folder.resolve("planted.gguf");
    assertSame(Exported.of(model.path(), GgmlType.F32, file), read(file));
  }

  /// Small models of other architectures.
  enum Planted {
    LLAMA,
    QWEN2,
    MIXTRAL;

    Path path() {
      String name = name().toLowerCase(java.util.Locale.ROOT);
      return Checkout.root().resolve("calibrate/src/test/resources/models/" + name + "/model");
    }
  }

  private static void assertSame(Exported expected, JsonNode found) {
    JsonNode tensors = found.path("tensors");
    List<String> names = new ArrayList<>();
    for (JsonNode tensor : tensors) {
      names.add(tensor.path("name").asString());
    }
    assertThat(names)
        .isEqualTo(expected.header().tensors().stream().map(GgufTensor::name).toList());
    for (int i = 0; i < names.size(); i++) {
      GgufTensor tensor = expected.header().tensors().get(i);
      JsonNode other = tensors.path(i);
      List<Long> dims = new ArrayList<>();
      other.path("shape").forEach(dim -> dims.add(Long.parseLong(dim.asString())));
      assertThat(dims).as(tensor.name()).isEqualTo(tensor.dims());
      assertThat(other.path("type").asInt()).as(tensor.name()).isEqualTo(tensor.type().id());
      assertThat(other.path("offset").asString())
          .as(tensor.name())
          .isEqualTo(Long.toString(tensor.offset()));
    }
    assertThat(found.path("dataOffset").asString())
        .isEqualTo(Long.toString(expected.header().dataStart()));
    assertSame(expected.header().metadata(), found.path("metadata"));
  }

  /// The reader adds version and counts to the keys of the file.
  private static void assertSame(Map<String, GgufValue> expected, JsonNode found) {
    assertThat(found.propertyNames()).containsAll(expected.keySet());
    assertThat(found.propertyNames()).hasSize(expected.size() + 3);
    expected.forEach((key, value) -> {
      JsonNode other = found.path(key);
      assertThat(other.path("type").asInt()).as(key).isEqualTo(value.kind().id());
      if (value instanceof GgufValue.Array array) {
        assertThat(other.path("subType").asInt()).as(key).isEqualTo(array.elements().id());
        assertThat(other.path("value").size()).as(key).isEqualTo(array.values().size());
        for (int i = 0; i < array.values().size(); i++) {
          assertSame(key + " " + i, array.values().get(i), other.path("value").path(i));
        }
      } else {
        assertSame(key, value, other.path("value"));
      }
    });
  }

  private static void assertSame(String key, GgufValue value, JsonNode other) {
    switch (value) {
      case GgufValue.Text(String text) -> assertThat(other.asString()).as(key).isEqualTo(text);
      case GgufValue.Bool(boolean bool) -> assertThat(other.asBoolean()).as(key).isEqualTo(bool);
      case GgufValue.F32(float x) -> assertThat((float) other.asDouble()).as(key).isEqualTo(x);
      case GgufValue.F64(double x) -> assertThat(other.asDouble()).as(key).isEqualTo(x);
      case GgufValue.U8(int x) -> assertThat(other.asLong()).as(key).isEqualTo(x);
      case GgufValue.I8(byte x) -> assertThat(other.asLong()).as(key).isEqualTo(x);
      case GgufValue.U16(int x) -> assertThat(other.asLong()).as(key).isEqualTo(x);
      case GgufValue.I16(short x) -> assertThat(other.asLong()).as(key).isEqualTo(x);
      case GgufValue.U32(long x) -> assertThat(other.asLong()).as(key).isEqualTo(x);
      case GgufValue.I32(int x) -> assertThat(other.asLong()).as(key).isEqualTo(x);
      case GgufValue.U64(long x) ->
          assertThat(other.asString()).as(key).isEqualTo(Long.toUnsignedString(x));
      case GgufValue.I64(long x) ->
          assertThat(other.asString()).as(key).isEqualTo(Long.toString(x));
      case GgufValue.Array _ -> throw new IllegalStateException(key);
    }
  }
}
