package smelt.formats.files;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.Random;
import org.junit.jupiter.api.Test;

class Crc32cTest {

  @Test
  void hasTheStandardsCheckValue() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment digits =
          arena.allocateFrom(
              ValueLayout.JAVA_BYTE, "123456789".getBytes(StandardCharsets.US_ASCII));
      assertThat(Crc32c.hex(Crc32c.of(digits))).isEqualTo("e3069283");
    }
  }

  @Test
  void combinesTheChecksumsOfTwoRuns() {
    Random random = new Random(7);
    try (Arena arena = Arena.ofConfined()) {
      for (int length : new int[] {0, 1, 2, 7, 8, 1000, 70_001}) {
        byte[] bytes = new byte[length];
        random.nextBytes(bytes);
        MemorySegment all = arena.allocateFrom(ValueLayout.JAVA_BYTE, bytes);
        for (int cut : new int[] {0, length / 3, length}) {
          int first = Crc32c.of(all.asSlice(0, cut));
          int second = Crc32c.of(all.asSlice(cut));
          assertThat(Crc32c.combine(first, second, length - cut))
              .as("%d bytes cut at %d", length, cut)
              .isEqualTo(Crc32c.of(all));
        }
      }
    }
  }
}
