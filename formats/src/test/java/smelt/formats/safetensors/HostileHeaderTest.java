package smelt.formats.safetensors;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import smelt.formats.BadInputException;
import smelt.formats.source.ByteSource;
import smelt.formats.source.CountingByteSource;
import smelt.formats.source.MemorySource;

/// Headers made to break a reader. Each is refused in words before anything is allocated for it.
class HostileHeaderTest {

  @Test
  void namesFileTensorAndOffset() {
    String json = "{\"a\":" + u8(0, 2) + ",\"b\":" + u8(2, 4).replace("[2]", "[3]") + "}";
    assertThatThrownBy(() -> read(json, 4))
        .isInstanceOf(BadInputException.class)
        .hasMessage(
            "m.safetensors, tensor 'b', byte "
                + (8 + json.indexOf("\"b\""))
                + ": found 2 bytes of data; expected 3 for U8 [3]; "
                + "have the file written anew by a safetensors writer");
  }

  @Test
  void namesAllThatIsWrongAtOnce() {
    String json =
        "{\"a\":{\"dtype\":\"F99\",\"shape\":[1],\"data_offsets\":[0,1]},\"\":"
            + u8(1, 3)
            + ",\"c\":7,\"d\":"
            + u8(5, 4)
            + "}";
    assertThatThrownBy(() -> read(json, 4))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("'a'")
        .hasMessageContaining("F99")
        .hasMessageContaining("an empty name")
        .hasMessageContaining("'c'")
        .hasMessageContaining("'d'");
  }

  @Test
  void namesHolesOverlapsAndTheEndAtOnce() {
    String json = "{\"a\":" + u8(1, 3) + ",\"b\":" + u8(2, 4) + ",\"c\":" + u8(6, 8) + "}";
    assertThatThrownBy(() -> read(json, 9))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("tensor 'a', byte " + (8 + json.length() + 1))
        .hasMessageContaining("an overlap of 1 bytes")
        .hasMessageContaining("a hole of 2 bytes")
        .hasMessageContaining("bytes that belong to no tensor");
  }

  @ParameterizedTest
  @ValueSource(longs = {-1, Long.MIN_VALUE, 100_000_001, 99_999_999, 3, Long.MAX_VALUE - 7})
  void comparesTheHeaderLengthWithTheFileBeforeAllocating(long length) {
    byte[] bytes = ByteBuffer.allocate(10).order(ByteOrder.LITTLE_ENDIAN).putLong(length).array();
    CountingByteSource file = new CountingByteSource(MemorySource.of("m.safetensors", bytes));
    assertThatThrownBy(() -> SafetensorsHeader.read(file))
        .isInstanceOf(BadInputException.class)
        .hasMessageStartingWith("m.safetensors, byte 0: found a header length of ");
    assertThat(file.bytesRead()).isEqualTo(8);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          9223372036854775808                     | 0
          0                                       | 18446744073709551615
          0                                       | 99999999999999999999999999999999
          -0                                      | 2
          0                                       | 2.0
          0                                       | 2e0
          0                                       | "2"
          0                                       | null
          0                                       | [2]
          0                                       | {"a":2}
          0                                       | true
          0                                       | 02
          """)
  void refusesOffsetsThatAreNoNaturalNumbers(String begin, String end) {
    String entry = u8(0, 2).replace("[0,2]", "[" + begin + "," + end + "]");
    assertRefused("{\"a\":" + entry + "}", 2);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "[9223372036854775807,2]",
        "[4611686018427387904,4611686018427387904]",
        "[4294967296,4294967296,0]",
        "[4611686018427387904]",
        "[-1]",
        "[1,1,1,1,1,1,1,1,2]",
        "2",
        "null",
        "{}",
        "[2.0]",
        "[[2]]"
      })
  void refusesShapesThatAreNoSizes(String shape) {
    String entry = u8(0, 2).replace("[2]", shape).replace("U8", "F64");
    assertRefused("{\"a\":" + entry + "}", 2);
  }

  @Test
  void countsBitsWithoutOverflow() {
    String entry = "{\"dtype\":\"F64\",\"shape\":[1152921504606846976],\"data_offsets\":[0,0]}";
    assertThatThrownBy(() -> read("{\"a\":" + entry + "}", 0))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("impossible");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "\\u0000",
        "\\n",
        "\\u001b[2J",
        "\\u007f",
        "\\u009b",
        "\\u2028",
        "\\ud800",
        "\\udc00x"
      })
  void refusesNamesThatCannotBeShown(String name) {
    assertRefused("{\"" + name + "\":" + u8(0, 2) + "}", 2);
    assertRefused("{\"__metadata__\":{\"" + name + "\":\"v\"}}", 0);
  }

  @Test
  void showsNoControlCharactersOfHostileNames() {
    assertThatThrownBy(() -> read("{\"\\u001b[2J\\n\":" + u8(0, 2) + "}", 2))
        .satisfies(e -> assertThat(e.getMessage().chars().noneMatch(c -> c < ' ')).isTrue());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{\"a\":ENTRY,\"a\":ENTRY}",
        "{\"a\":ENTRY,\"\\u0061\":ENTRY}",
        "{\"__metadata__\":{},\"__metadata__\":{}}",
        "{\"__metadata__\":{\"k\":\"1\",\"k\":\"1\"},\"a\":ENTRY}",
        "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"shape\":[2],\"data_offsets\":[0,2]}}"
      })
  void refusesRepeatedKeys(String json) {
    assertRefused(json.replace("ENTRY", u8(0, 2)), 2);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{\"__metadata__\":[]}",
        "{\"__metadata__\":null}",
        "{\"__metadata__\":{\"a\":1}}",
        "{\"__metadata__\":{\"a\":{\"b\":\"c\"}}}",
        "{\"__metadata__\":{\"a\":\"\\ud83d\"}}",
        "{} {}",
        "{}x",
        "{},",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{'a':1}",
        "{a:1}",
        "{/**/}",
        "{\"a\":NaN}"
      })
  void refusesWhatIsNoHeader(String json) {
    assertRefused(json, 0);
  }

  @Test
  void refusesDeepNesting() {
    assertRefused("{\"a\":" + "[".repeat(1_000_000), 0);
    assertRefused("{\"a\":" + "{\"a\":".repeat(100_000), 0);
    String entry = u8(0, 2).replace("\"U8\"", "\"U8\",\"x\":" + "[".repeat(9) + "]".repeat(9));
    assertRefused("{\"a\":" + entry + "}", 2);
  }

  @Test
  void refusesNamesAndNumbersWithoutEnd() {
    assertRefused("{\"" + "a".repeat(1_000_000) + "\":" + u8(0, 2) + "}", 2);
    String entry = u8(0, 2).replace("[0,2]", "[0," + "9".repeat(1_000_000) + "]");
    assertRefused("{\"a\":" + entry + "}", 2);
  }

  @Test
  void refusesTextThatIsNoUtf8() {
    byte[][] bad = {
      {(byte) 0xc0, (byte) 0xaf},
      {(byte) 0xe0, (byte) 0x80, (byte) 0x80},
      {(byte) 0xed, (byte) 0xa0, (byte) 0x80},
      {(byte) 0xf4, (byte) 0x90, (byte) 0x80, (byte) 0x80},
      {(byte) 0xff},
      {(byte) 0xe2, (byte) 0x82},
      {0}
    };
    for (byte[] sequence : bad) {
      byte[] json = ("{\"a??" + "\":" + u8(0, 2) + "}").getBytes(UTF_8);
      byte[] spoiled = new byte[json.length + sequence.length];
      System.arraycopy(json, 0, spoiled, 0, 3);
      System.arraycopy(sequence, 0, spoiled, 3, sequence.length);
      System.arraycopy(json, 3, spoiled, 3 + sequence.length, json.length - 3);
      assertThatThrownBy(() -> SafetensorsHeader.read(file(spoiled, 2)))
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining("byte 11: found byte 0x");
    }
  }

  @Test
  void refusesTheSameTextInUtf16() {
    byte[] json = ("{\"a\":" + u8(0, 2) + "}").getBytes(java.nio.charset.StandardCharsets.UTF_16LE);
    assertThatThrownBy(() -> SafetensorsHeader.read(file(json, 2)))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("UTF-8");
  }

  @Test
  void stopsAfterAHundredProblems() {
    StringBuilder json = new StringBuilder("{");
    for (int i = 0; i < 10_000; i++) {
      json.append(i == 0 ? "" : ",").append('"').append(i).append("\":1");
    }
    assertThatThrownBy(() -> read(json.append('}').toString(), 0))
        .satisfies(e -> assertThat(((BadInputException) e).problems()).hasSize(100));
  }

  @Test
  void keepsMetadataOfAnyText() throws IOException {
    SafetensorsHeader header =
        read("{\"__metadata__\":{\"b\":\"\\n\\u0000\",\"a\":\"\\ud83d\\ude00\"}}", 0);
    assertThat(header.metadata()).containsExactly(entry("a", "😀"), entry("b", "\n\0"));
  }

  private static java.util.Map.Entry<String, String> entry(String key, String value) {
    return java.util.Map.entry(key, value);
  }

  private static String u8(long begin, long end) {
    return "{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[" + begin + "," + end + "]}";
  }

  private static void assertRefused(String json, int dataBytes) {
    assertThatThrownBy(() -> read(json, dataBytes))
        .isInstanceOf(BadInputException.class)
        .hasMessageStartingWith("m.safetensors, ");
  }

  private static SafetensorsHeader read(String json, int dataBytes) throws IOException {
    return SafetensorsHeader.read(file(json.getBytes(UTF_8), dataBytes));
  }

  private static ByteSource file(byte[] json, int dataBytes) {
    byte[] bytes = new byte[8 + json.length + dataBytes];
    ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(json.length).put(json);
    return new MemorySource("m.safetensors", MemorySegment.ofArray(bytes));
  }
}
