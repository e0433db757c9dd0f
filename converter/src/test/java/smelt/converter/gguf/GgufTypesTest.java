package smelt.converter.gguf;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;
import smelt.converter.recipe.Selector;
import smelt.formats.checkpoint.Projection;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.gguf.GgmlType;

class GgufTypesTest {

  @Test
  void takesTheFirstRuleThatPicksAWeight() {
    GgufTypes types =
        new GgufTypes(
            GgmlType.BF16,
            List.of(new GgufTypes.Rule(new Selector.Role("routed_expert"), GgmlType.Q8_0)));
    TensorRole expert = new TensorRole.RoutedExpert(1, 0, Projection.UP);
    assertThat(types.wanted(expert, "up")).isEqualTo(GgmlType.Q8_0);
    assertThat(types.wanted(new TensorRole.Head(), "head")).isEqualTo(GgmlType.BF16);
  }

  @Test
  void givesShortRowsWhatLlamaCppGivesThem() {
    assertThat(GgufTypes.fitting(GgmlType.Q4_K, 256)).isEqualTo(GgmlType.Q4_K);
    assertThat(GgufTypes.fitting(GgmlType.Q4_K, 128)).isEqualTo(GgmlType.Q5_0);
    assertThat(GgufTypes.fitting(GgmlType.Q5_K, 128)).isEqualTo(GgmlType.Q5_1);
    assertThat(GgufTypes.fitting(GgmlType.Q6_K, 128)).isEqualTo(GgmlType.Q8_0);
    assertThat(GgufTypes.fitting(GgmlType.Q4_K, 40)).isEqualTo(GgmlType.F16);
    assertThat(GgufTypes.fitting(GgmlType.Q8_0, 40)).isEqualTo(GgmlType.F16);
  }
}
