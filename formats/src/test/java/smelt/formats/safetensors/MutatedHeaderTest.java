package smelt.formats.safetensors;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import smelt.formats.BadInputException;
import smelt.formats.Share;
import smelt.formats.source.MemorySource;

/// A file damaged anywhere in its header is either still a sound file or refused in words.
class MutatedHeaderTest {

  private static final int MUTATIONS = Share.of(8_000, 20_000);
  private static final byte[] TELLING =
      "{}[]\":,0129-.e\\u\0 \u007f\u00ff".getBytes(java.nio.charset.StandardCharsets.ISO_8859_1);

  @Test
  void isReadOrRefusedAndNothingElse() throws IOException {
    int refused = 0;
    for (int seed = 0; seed < MUTATIONS; seed++) {
      byte[] file = mutated(whole(seed / 100), new Random(seed));
      try {
        HeaderChecks.check(SafetensorsHeader.read(MemorySource.of("m", file)), file.length);
      } catch (BadInputException e) {
        refused++;
      } catch (IOException | RuntimeException e) {
        throw new AssertionError("seed " + seed, e);
      }
    }
    assertThat(refused).as("mutations that were refused").isBetween(MUTATIONS / 2, MUTATIONS - 1);
  }

  private static byte[] whole(int seed) {
    RandomTensors random = new RandomTensors(seed);
    SafetensorsLayout layout = SafetensorsLayout.of(random.tensors(), random.metadata());
    return Arrays.copyOf(layout.header(), Math.toIntExact(layout.fileSize()));
  }

  private static byte[] mutated(byte[] file, Random random) {
    byte[] bytes = file.clone();
    int header =
        Math.toIntExact(Math.min(file.length, 8 + (file[0] & 0xffL) + 256L * (file[1] & 0xff)));
    for (int i = random.nextInt(3); i >= 0; i--) {
      int at = random.nextInt(header);
      switch (random.nextInt(4)) {
        case 0 -> bytes[at] = (byte) random.nextInt(256);
        case 1 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
        case 2 -> bytes[at] = TELLING[random.nextInt(TELLING.length)];
        default -> {
          int length = random.nextInt(Math.min(40, header - at));
          System.arraycopy(file, random.nextInt(header - length), bytes, at, length);
        }
      }
    }
    return random.nextInt(20) == 0 ? Arrays.copyOf(bytes, random.nextInt(bytes.length)) : bytes;
  }
}
