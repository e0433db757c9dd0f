package smelt.formats.experts;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import smelt.formats.Checkout;
import smelt.formats.checkpoint.Projection;
import smelt.formats.experts.ExpertTensor.Content;

class ExpertTensorTest {

  private static final ExpertTensor UP = new ExpertTensor(3, Projection.UP, 255, 1, Content.CODES);

  @Test
  void hasTheNamesOfBothForms() {
    assertThat(UP.tensorName()).isEqualTo("blk.3.ffn_up_exps.255.numa.1.weight");
    assertThat(UP.path(ExpertFormat.AMXINT8, 7340032))
        .isEqualTo("_layer_3/_numa_1/INT8_up_255_7340032Byte_quant_.kt");
    ExpertTensor scale = UP.with(Content.SCALES);
    assertThat(scale.tensorName()).isEqualTo("blk.3.ffn_up_exps.255.numa.1.scale");
    assertThat(scale.path(ExpertFormat.MOE_INT8, 4096))
        .isEqualTo("_layer_3/_numa_1/MOE_INT8_up_255_4096Byte_scale_.kt");
  }

  @Test
  void readsWhatItWrites() {
    assertThat(ExpertTensor.ofTensor(UP.tensorName())).contains(UP);
    for (ExpertFormat format : ExpertFormat.values()) {
      assertThat(ExpertTensor.ofPath("a/b/" + UP.path(format, 12)))
          .contains(new ExpertTensor.KtFile("a/b/", format, UP, 12));
      assertThat(ExpertTensor.ofPath(UP.path(format, 12)))
          .contains(new ExpertTensor.KtFile("", format, UP, 12));
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "blk.3.ffn_up_exps.1.weight",
        "blk.3.ffn_up_exps.01.numa.0.weight",
        "blk.-3.ffn_up_exps.1.numa.0.weight",
        "blk.3.ffn_up_exps.1.numa.0.weights",
        "blk.99999999999.ffn_up_exps.1.numa.0.weight",
        "_layer_3/_numa_0/INT8_up_0_1024Byte_quant_.kt.part",
        "_layer_3/_numa_0/INT8_up_0_quant_.kt",
        "_layer_3/INT8_up_0_1024Byte_quant_.kt",
        "x_layer_3/_numa_0/INT8_up_0_1024Byte_quant_.kt"
      })
  void leavesOtherNamesAlone(String name) {
    assertThat(ExpertTensor.ofTensor(name)).isEmpty();
    assertThat(ExpertTensor.ofPath(name)).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(strings = {"int8_tp2", "int4_tp2"})
  void knowsEveryFileOfTheRuntimesOwnTrees(String tree) throws IOException {
    Path root = Checkout.golden("kt/tree/" + tree);
    try (Stream<Path> files = Files.walk(root)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        String path = root.relativize(file).toString().replace('\\', '/');
        ExpertTensor.KtFile known = ExpertTensor.ofPath(path).orElseThrow();
        assertThat(known.bytes()).isEqualTo(Files.size(file));
        assertThat(known.tensor().path(known.format(), known.bytes())).isEqualTo(path);
      }
    }
  }
}
