package smelt.formats.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Test;
import smelt.formats.Checkout;
import smelt.formats.ElementType;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.ScaleFormat;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

class CheckpointTest {

  private static Checkpoint sample(String name) throws IOException {
    try (ModelSource source = ModelSources.open(Checkout.root().resolve("samples").resolve(name))) {
      return Checkpoint.open(source);
    }
  }

  @Test
  void opensTheFp8SampleAndJoinsScalesAcrossShards() throws IOException {
    Checkpoint model = sample("tiny-deepseek-v3-fp8");
    assertThat(model.architecture()).isEqualTo(Architecture.DEEPSEEK_V3);
    assertThat(model.shards()).hasSize(3);
    assertThat(model.storedTensors()).isEqualTo(501);
    assertThat(model.tensorBytes()).isEqualTo(11_702_012);
    List<Weight> quantized = model.weights().stream().filter(w -> w.scale().isPresent()).toList();
    assertThat(quantized)
        .allSatisfy(w -> assertThat(w.encoding()).isEqualTo(Encoding.fp8Block(ScaleFormat.FLOAT)));
    assertThat(quantized)
        .filteredOn(w -> !w.codes().file().equals(w.scale().orElseThrow().file()))
        .hasSize(2);
  }

  @Test
  void opensTheBf16Sample() throws IOException {
    Checkpoint model = sample("tiny-deepseek-v3");
    assertThat(model.weights()).hasSize((int) model.storedTensors()).hasSize(269);
    assertThat(model.weights())
        .extracting(w -> w.encoding().type())
        .containsOnly(ElementType.BF16, ElementType.F32);
    assertThat(model.notes()).isEmpty();
  }
}
