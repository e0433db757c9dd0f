package smelt.calibrate.smooth;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

/// Which channel a row or column belongs to, by hand.
class ChannelMapTest {

  @Test
  void eachHasItsOwn() {
    assertThat(ChannelMap.EACH.channels(5)).isEqualTo(5);
    assertThat(ChannelMap.EACH.spread(new float[] {2, 3, 4, 5, 6}, 5))
        .containsExactly(2, 3, 4, 5, 6);
  }

  /// Two heads of two key rows and one value row.
  @Test
  void keyRowsHaveNone() {
    ChannelMap map = new ChannelMap(3, 2, 1);
    assertThat(map.channels(6)).isEqualTo(2);
    assertThat(map.spread(new float[] {5, 7}, 6)).containsExactly(1, 1, 5, 1, 1, 7);
  }

  /// Four heads of queries, two of values, two numbers each.
  @Test
  void headsOfQueriesShareAHeadOfValues() {
    ChannelMap map = new ChannelMap(2, 0, 2);
    assertThat(map.channels(8)).isEqualTo(4);
    assertThat(map.spread(new float[] {1, 2, 3, 4}, 8)).containsExactly(1, 2, 1, 2, 3, 4, 3, 4);
    assertThat(map.largest(new float[] {1, 9, 8, 2, 3, 3, 4, 4})).containsExactly(8, 9, 4, 4);
  }

  @Test
  void refusesRestsOfHeads() {
    assertThatThrownBy(() -> new ChannelMap(3, 2, 1).channels(7))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> new ChannelMap(3, 3, 1)).isInstanceOf(IllegalArgumentException.class);
  }
}
