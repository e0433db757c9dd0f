package smelt.formats.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import smelt.formats.Checkout;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.formats.safetensors.SafetensorsLayout.Tensor;

class SafetensorsLayoutTest {

  @Test
  void writesTheHeaderOfTheReferenceWriterWhateverTheOrder() throws IOException {
    byte[] reference =
        Files.readAllBytes(Checkout.golden("safetensors/reference-writer.safetensors"));
    List<Tensor> tensors =
        new ArrayList<>(
            List.of(
                new Tensor("i", ElementType.I64, Shape.of(2)),
                new Tensor("a.scale", ElementType.F32, Shape.of(1, 1)),
                new Tensor("z.bias", ElementType.BF16, Shape.of(3)),
                new Tensor("e.s", ElementType.F8_E8M0, Shape.of(3)),
                new Tensor("b.weight", ElementType.F8_E4M3, Shape.of(2, 3)),
                new Tensor("q", ElementType.I8, Shape.of(5)),
                new Tensor("aé\"\n/", ElementType.U8, Shape.of()),
                new Tensor("u", ElementType.U8, Shape.of(0)),
                new Tensor("f4", ElementType.F4, Shape.of(2, 2))));
    for (int seed = 0; seed < 20; seed++) {
      Collections.shuffle(tensors, new Random(seed));
      SafetensorsLayout layout = SafetensorsLayout.of(tensors, Map.of("format", "pt"));
      byte[] header = layout.header();
      assertThat(header).isEqualTo(Arrays.copyOf(reference, header.length));
      assertThat(layout.fileSize()).isEqualTo(reference.length);
    }
  }

  @Test
  void refusesTwoTensorsOfOneName() {
    Tensor one = new Tensor("a", ElementType.U8, Shape.of(1));
    Tensor other = new Tensor("a", ElementType.F32, Shape.of(1));
    assertThatThrownBy(() -> SafetensorsLayout.of(List.of(one, other), Map.of()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("'a'");
  }
}
