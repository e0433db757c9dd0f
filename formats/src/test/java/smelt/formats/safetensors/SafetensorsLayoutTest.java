package smelt.formats.safetensors;

import static java.nio.charset.StandardCharsets.UTF_8;
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

  @Test
  void ordersByTypeThenByTheBytesOfNames() {
    List<String> names = List.of("b", "a", "A", "ab", "\uffee", "😀", "é", "a.10", "a.9");
    List<Tensor> tensors =
        new ArrayList<>(
            names.stream().map(n -> new Tensor(n, ElementType.U8, Shape.of())).toList());
    tensors.add(new Tensor("z", ElementType.F8_E4M3, Shape.of()));
    tensors.add(new Tensor("y", ElementType.BF16, Shape.of()));
    List<String> order =
        SafetensorsLayout.of(tensors, Map.of()).tensors().stream().map(TensorEntry::name).toList();
    assertThat(order)
        .containsExactly("y", "z", "A", "a", "a.10", "a.9", "ab", "b", "é", "\uffee", "😀");
    List<byte[]> bytes = order.subList(2, 11).stream().map(n -> n.getBytes(UTF_8)).toList();
    assertThat(bytes).isSortedAccordingTo(Arrays::compareUnsigned);
  }

  @Test
  void sortsMetadataAndPutsItFirst() {
    SafetensorsLayout layout =
        SafetensorsLayout.of(
            List.of(new Tensor("a", ElementType.U8, Shape.of(1))), Map.of("z", "1", "b", "\u001f"));
    assertThat(new String(layout.header(), 8, layout.header().length - 8, UTF_8).strip())
        .isEqualTo(
            "{\"__metadata__\":{\"b\":\"\\u001f\",\"z\":\"1\"},"
                + "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}");
  }

  @Test
  void anEmptyFileIsAFile() {
    SafetensorsLayout layout = SafetensorsLayout.of(List.of(), Map.of());
    assertThat(layout.fileSize()).isEqualTo(16);
    assertThat(new String(layout.header(), 8, 8, UTF_8)).isEqualTo("{}      ");
  }

  @Test
  void refusesWhatNoFileCanHold() {
    assertRefused(new Tensor("a", ElementType.F4, Shape.of(3)), "whole number of bytes");
    assertRefused(new Tensor("a", ElementType.U8, Shape.of(1L << 40, 1L << 40)), "'a'");
    assertRefused(new Tensor("\ud800", ElementType.U8, Shape.of()), "no Unicode");
    assertThatThrownBy(() -> new Tensor("", ElementType.U8, Shape.of()))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> new Tensor("__metadata__", ElementType.U8, Shape.of()))
        .isInstanceOf(IllegalArgumentException.class);
  }

  private static void assertRefused(Tensor tensor, String message) {
    assertThatThrownBy(() -> SafetensorsLayout.of(List.of(tensor), Map.of()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(message);
  }
}
