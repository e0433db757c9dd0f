package smelt.formats;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class ElementTypeTest {

  @Test
  void packedTypesAreSizedInWholeBytes() {
    assertThat(ElementType.F4.bytes(6)).isEqualTo(3);
    assertThat(ElementType.F6_E2M3.bytes(4)).isEqualTo(3);
    assertThatThrownBy(() -> ElementType.F4.bytes(3)).isInstanceOf(ArithmeticException.class);
  }

  @Test
  void namesAreThoseOfTheHeader() {
    assertThat(ElementType.named("F8_E4M3")).contains(ElementType.F8_E4M3);
    assertThat(ElementType.named("f32")).isEmpty();
  }

  @Test
  void shapesMultiplyWithoutOverflow() {
    assertThat(Shape.of().elements()).isEqualTo(1);
    assertThat(Shape.of(129280, 7168).bytes(ElementType.BF16)).isEqualTo(1_853_358_080L);
    assertThatThrownBy(() -> Shape.of(1L << 40, 1L << 40).elements())
        .isInstanceOf(ArithmeticException.class);
  }
}
