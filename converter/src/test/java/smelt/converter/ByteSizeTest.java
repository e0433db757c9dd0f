package smelt.converter;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ByteSizeTest {

  @ParameterizedTest
  @CsvSource({
    "0, 0",
    "17, 17",
    "1K, 1024",
    "512M, 536870912",
    "8G, 8589934592",
    "4GiB, 4294967296",
    "4 GiB, 4294967296",
    "2TiB, 2199023255552",
    "9223372036854775807, 9223372036854775807"
  })
  void readsPowersOf1024(String text, long bytes) {
    assertThat(ByteSize.parse(text)).hasValue(bytes);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "4GB",
        "4g",
        "-1",
        "1.5G",
        "4 G iB",
        "GiB",
        "0x10",
        "9223372036854775808",
        "8388608T"
      })
  void refusesWhatIsNoSizeOrTooLarge(String text) {
    assertThat(ByteSize.parse(text)).isEmpty();
  }

  @Test
  void writesWholeUnitsWithoutFraction() {
    assertThat(ByteSize.format(0)).isEqualTo("0 B");
    assertThat(ByteSize.format(1023)).isEqualTo("1023 B");
    assertThat(ByteSize.format(1L << 30)).isEqualTo("1 GiB");
    assertThat(ByteSize.format(688_574_839_360L)).isEqualTo("641.29 GiB");
    assertThat(ByteSize.format(Long.MAX_VALUE)).isEqualTo("8388608.00 TiB");
  }
}
