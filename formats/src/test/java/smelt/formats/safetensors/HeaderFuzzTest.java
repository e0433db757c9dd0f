package smelt.formats.safetensors;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.code_intelligence.jazzer.junit.DictionaryEntries;
import com.code_intelligence.jazzer.junit.FuzzTest;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.params.provider.MethodSource;
import smelt.formats.BadInputException;
import smelt.formats.source.MemorySource;

/// Any bytes are read as a sound file, or refused in words. The build runs the seeds, and then a
/// bounded share of fuzzing; `./dev fuzz` goes on for as long as it is told.
class HeaderFuzzTest {

  @MethodSource("seeds")
  @DictionaryEntries({
    "__metadata__",
    "\"dtype\":",
    "\"shape\":[",
    "\"data_offsets\":[",
    "\"F8_E4M3\"",
    "\"F4\"",
    "\"U64\"",
    "9223372036854775807",
    "18446744073709551615",
    "\\u0000",
    "\\ud800"
  })
  @FuzzTest(maxDuration = "20s")
  void anyBytesAreReadOrRefused(byte[] file) throws IOException {
    if (file != null) {
      try {
        HeaderChecks.check(SafetensorsHeader.read(MemorySource.of("m", file)), file.length);
      } catch (BadInputException refused) {
        requireWords(refused);
      }
    }
  }

  private static void requireWords(BadInputException refused) {
    if (!refused.getMessage().startsWith("m, ") || !refused.getMessage().contains("byte ")) {
      throw new IllegalStateException("a refusal without place: " + refused.getMessage());
    }
  }

  static Stream<byte[]> seeds() {
    Stream<byte[]> sound =
        IntStream.range(0, 12)
            .mapToObj(RandomTensors::new)
            .map(random -> SafetensorsLayout.of(random.tensors(), random.metadata()))
            .map(layout -> Arrays.copyOf(layout.header(), Math.toIntExact(layout.fileSize())));
    Stream<byte[]> unsound =
        Stream.of(
                "",
                "{}",
                "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}",
                "{\"__metadata__\":{\"a\":\"b\",\"a\":\"b\"}}",
                "{\"a\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,1]}}",
                "{\"a\":{\"dtype\":\"I8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}")
            .map(HeaderFuzzTest::withLength);
    return Stream.concat(sound, unsound);
  }

  private static byte[] withLength(String json) {
    byte[] text = json.getBytes(UTF_8);
    ByteBuffer file = ByteBuffer.allocate(8 + text.length).order(ByteOrder.LITTLE_ENDIAN);
    return file.putLong(text.length).put(text).array();
  }
}
