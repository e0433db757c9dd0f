package smelt.verify;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import smelt.calibrate.model.ActivationScheme.Shifted;
import smelt.verify.StaticScales.Range;

class StaticScalesTest {

  @Test
  void aRangeGivesTheNumbersThatItCameFrom() {
    for (int zeroPoint = -128; zeroPoint <= 127; zeroPoint++) {
      assertThat(Range.of(0.25f, zeroPoint).scheme()).isEqualTo(new Shifted(0.25f, zeroPoint));
    }
  }

  /// From -32 to 31.75 and from -69 to 58.5: the second spans both.
  @Test
  void mergedModulesHaveTheRangeOfAll() {
    Range both = Range.of(0.25f, 0).spanning(Range.of(0.5f, 10));
    assertThat(both.scheme()).isEqualTo(new Shifted(0.5f, 10));
  }

  /// From -65.5 to 63.5: the zero point would be 1.48, or with the other sign -2.48.
  @Test
  void aZeroPointThatIsNotWholeIsCutTowardsZero() {
    Range both = Range.of(0.5f, 0).spanning(Range.of(0.5f, 3));
    assertThat(both.scheme()).isEqualTo(new Shifted(129f / 255, 1));
    Range mirrored = new Range(-63.5f, 65.5f);
    assertThat(mirrored.scheme().offset()).isEqualTo(-2);
  }
}
