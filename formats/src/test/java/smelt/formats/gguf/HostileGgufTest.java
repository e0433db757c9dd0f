package smelt.formats.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import java.io.IOException;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import smelt.formats.BadInputException;
import smelt.formats.source.CountingByteSource;
import smelt.formats.source.MemorySource;

/// Files made to break a reader. Each is refused in words, before anything is allocated for it.
class HostileGgufTest {

  private static final String ALIGNMENT = GgufLayout.ALIGNMENT_KEY;

  @Test
  void saysWhereWhatWasFoundAndWhatWasExpected() {
    byte[] file = GgufDraft.head(1, 0).tensor("a", 31, 0, 1).data(32).toBytes();
    assertThatThrownBy(() -> read(file))
        .isInstanceOf(BadInputException.class)
        .hasMessage(
            "m.gguf, byte 45: found the removed type 31 of a; expected a type that ggml has; "
                + "the file is no sound GGUF file: get it again, or have it written anew");
  }

  @Test
  void namesAllThatIsWrongWithTheTensorsAtOnce() {
    byte[] file =
        GgufDraft.head(3, 0)
            .tensor("a", 0, 32, 1)
            .tensor("a", 0, 32, 1)
            .tensor("c", 0, 0, 1)
            .data(64)
            .toBytes();
    BadInputException refusal = catchThrowableOfType(BadInputException.class, () -> read(file));
    assertThat(refusal.problems()).hasSize(4);
    assertThat(refusal)
        .hasMessageContaining("tensor 'a', byte 24: found data offset 32; expected 0,")
        .hasMessageContaining("tensor 'a', byte 57: found the name again")
        .hasMessageContaining("tensor 'c', byte 90: found data offset 0; expected 64,")
        .hasMessageContaining("found 64 bytes of data; expected 96");
  }

  static Stream<Arguments> malformedFiles() {
    return Stream.of(
        wrong("an empty file", new GgufDraft(), 0, "the end of the file"),
        wrong("another magic", new GgufDraft().raw("GGML").u32(3).u64(0).u64(0), 2, "byte 0x4d"),
        wrong("version 1", version(1), 4, "version 1"),
        wrong("version 0", version(0), 4, "version 0"),
        wrong("version 4", version(4), 4, "version 4"),
        wrong("a big-endian file", version(0x0300_0000), 4, "a big-endian file"),
        wrong("-1 tensors", GgufDraft.head(-1, 0), 8, "tensor count 18446744073709551615"),
        wrong("2^62 tensors", GgufDraft.head(1L << 62, 0).data(99), 8, "tensor count 46116"),
        wrong("more tensors than bytes", GgufDraft.head(5, 0).data(99), 8, "tensor count 5"),
        wrong("-1 entries", GgufDraft.head(0, -1), 16, "metadata count 18446744073709551615"),
        wrong("more entries than bytes", GgufDraft.head(0, 9).data(99), 16, "metadata count 9"),
        entry("a key longer than the file", new GgufDraft().u64(1 << 30).data(20), 24, "length of"),
        entry("a key of 2^64-1 bytes", new GgufDraft().u64(-1).data(20), 24, "184467440737095"),
        entry("a key of 64 KiB", draft("k".repeat(65_536), 0).data(9), 24, "65536 bytes"),
        entry("an empty key", draft("", 0).data(9), 24, "an empty key"),
        entry("a key with a NUL", draft("a\0b", 0).data(9), 24, "with a NUL"),
        entry("a key in Latin-1", new GgufDraft().u64(1).bytes(0xE4).u32(0).data(9), 24, "UTF-8"),
        entry("kind 13", draft("k", 13).data(9), 33, "13"),
        entry("kind -1", draft("k", -1).data(9), 33, "4294967295"),
        entry("no value", draft("k", 10).u32(0), 37, "the end of the file"),
        entry("a bool of 2", draft("k", 7).bytes(2).data(9), 37, "the value of 'k' 2"),
        entry("a text longer than the file", draft("k", 8).u64(1L << 40), 37, "1099511627776"),
        entry("a text in UTF-16", draft("k", 8).u64(2).bytes(0xFF, 0xFE), 37, "no UTF-8"),
        entry("an overlong text", draft("k", 8).u64(2).bytes(0xC0, 0x80), 37, "no UTF-8"),
        entry("an array of arrays", draft("k", 9).u32(9).u64(1).data(40), 37, "array of arrays"),
        entry("an array of kind 99", draft("k", 9).u32(99).u64(1).data(40), 37, "99"),
        entry("2^62 bytes", draft("k", 9).u32(0).u64(1L << 62), 41, "4611686018427387904"),
        entry("2^61 longs", draft("k", 9).u32(10).u64(1L << 61).data(64), 41, "230584300921369"),
        entry("more texts than bytes", draft("k", 9).u32(8).u64(9).data(64), 41, "count of 'k' 9"),
        entry(
            "nine million bytes",
            draft("k", 9).u32(0).u64(9_000_000).data(9_000_000),
            41,
            "9000000"),
        wrong(
            "a key twice",
            GgufDraft.head(0, 2).key("k", 0).bytes(1).key("k", 0).bytes(1),
            38,
            "'k' again"),
        entry("an alignment as I32", draft(ALIGNMENT, 5).u32(32), 57, "I32[value=32]"),
        entry("an alignment as text", draft(ALIGNMENT, 8).text("32"), 63, "Text[value=32]"),
        entry("an array as alignment", draft(ALIGNMENT, 9).u32(4).u64(0), 65, "an array"),
        entry("alignment 0", draft(ALIGNMENT, 4).u32(0), 57, "value=0"),
        entry("alignment 3", draft(ALIGNMENT, 4).u32(3), 57, "value=3"),
        entry("alignment 4", draft(ALIGNMENT, 4).u32(4), 57, "value=4"),
        entry("alignment 2^31", draft(ALIGNMENT, 4).u32(1L << 31), 57, "2147483648"),
        tensor("an empty name", new GgufDraft().tensor("", 0, 0, 1, 1), 24, "an empty tensor name"),
        tensor("a name of 64", new GgufDraft().tensor("n".repeat(64), 0, 0, 1), 24, "64 bytes"),
        tensor("a name with NUL", new GgufDraft().tensor("a\0", 0, 0, 1), 24, "with a NUL"),
        tensor("no dimensions", new GgufDraft().tensor("a", 0, 0).u64(0), 33, "0 dimensions"),
        tensor(
            "5 dimensions", new GgufDraft().tensor("a", 0, 0, 1, 1, 1, 1, 1), 33, "5 dimensions"),
        tensor("2^32-1 dimensions", new GgufDraft().text("a").u32(-1).data(64), 33, "4294967295"),
        tensor("a dimension of 0", new GgufDraft().tensor("a", 0, 0, 0), 24, "dimensions [0]"),
        tensor("a dimension of -1", new GgufDraft().tensor("a", 0, 0, 4, -1), 24, "[4, -1]"),
        tensor("a product of 2^64", new GgufDraft().tensor("a", 0, 0, 1L << 62, 4), 24, "[46116"),
        tensor("bytes that wrap", new GgufDraft().tensor("a", 0, 0, (1L << 62) - 1), 24, "[46116"),
        tensor("padding that wraps", new GgufDraft().tensor("a", 24, 0, Long.MAX_VALUE), 24, "[92"),
        tensor(
            "a Q4_0 size that wraps", new GgufDraft().tensor("a", 2, 0, 1L << 62), 96, "32 bytes"),
        tensor("half a block", new GgufDraft().tensor("a", 8, 0, 16, 2), 24, "[16, 2] of Q8_0"),
        tensor("type 4", new GgufDraft().tensor("a", 4, 0, 1), 45, "the removed type 4"),
        tensor("type 43", new GgufDraft().tensor("a", 43, 0, 1), 45, "the type 43"),
        tensor("type -1", new GgufDraft().tensor("a", -1, 0, 1), 45, "the type 4294967295"),
        tensor("offset 4", new GgufDraft().tensor("a", 0, 4, 1), 24, "data offset 4"),
        tensor("offset 2^63", new GgufDraft().tensor("a", 0, 1L << 63, 1), 24, "offset 922337"),
        tensor("cut data", new GgufDraft().tensor("a", 0, 0, 9), 96, "32 bytes of data"),
        wrong("data of nobody", GgufDraft.head(1, 0).tensor("a", 0, 0, 1).data(64), 96, "64 bytes"),
        wrong("data without tensors", GgufDraft.head(0, 0).data(1), 32, "1 bytes of data"),
        wrong("a hole", two(64), 57, "data offset 64"),
        wrong("an overlap", two(0), 57, "data offset 0"),
        entry("half of the split keys", draft("split.no", 2).u16(0), 46, "split.count absent"),
        wrong("part 2 of 2 as number 2", split(2, 2, 0), 106, "part 2 of 2"),
        wrong("fewer tensors in all than here", splitWithTensor(), 139, "1 tensors"));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("malformedFiles")
  void refuses(String what, byte[] file, String where, String found) {
    BadInputException refusal = catchThrowableOfType(BadInputException.class, () -> read(file));
    assertThat(refusal).as(what).isNotNull();
    assertThat(refusal.problems())
        .anySatisfy(problem -> {
          assertThat(problem.where()).startsWith("m.gguf").endsWith("byte " + where);
          assertThat(problem.found()).contains(found);
          assertThat(problem.expected()).isNotEmpty();
        });
  }

  @Test
  void readsLittleOfAFileThatPromisesMuch() {
    byte[] bytes = GgufDraft.head(0, 1).key("k", 9).u32(8).u64(1L << 50).data(1 << 20).toBytes();
    CountingByteSource file = new CountingByteSource(MemorySource.of("m.gguf", bytes));
    assertThatThrownBy(() -> GgufHeader.read(file)).isInstanceOf(BadInputException.class);
    assertThat(file.bytesRead()).isLessThanOrEqualTo(1 << 16);
  }

  @Test
  void refusesOrReadsEveryFileWithOneByteChanged() throws IOException {
    byte[] sound =
        GgufDraft.head(2, 3)
            .key(ALIGNMENT, 4)
            .u32(32)
            .key("t", 9)
            .u32(8)
            .u64(2)
            .text("a")
            .text("bc")
            .key("x", 6)
            .u32(0x3F80_0000)
            .tensor("a", 8, 0, 32, 2)
            .tensor("b", 30, 96, 3)
            .data(128)
            .toBytes();
    read(sound);
    RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(7);
    for (int at = 0; at < sound.length - 128; at++) {
      for (int change = 0; change < 8; change++) {
        byte[] changed = sound.clone();
        changed[at] = (byte) random.nextInt();
        try {
          GgufHeader header = read(changed);
          long end = header.dataStart();
          for (GgufTensor tensor : header.tensors()) {
            assertThat(header.offset(tensor)).isEqualTo(end);
            end = GgufLayout.padded(end + tensor.bytes(), header.alignment());
          }
          assertThat(end).isEqualTo(header.fileSize());
        } catch (BadInputException e) {
          assertThat(e.problems()).isNotEmpty();
        }
      }
    }
  }

  private static GgufDraft version(int version) {
    return new GgufDraft().raw("GGUF").u32(version).u64(0).u64(0);
  }

  private static GgufDraft draft(String key, long kind) {
    return new GgufDraft().key(key, kind);
  }

  private static GgufDraft two(long offset) {
    return GgufDraft.head(2, 0).tensor("a", 0, 0, 1).tensor("b", 0, offset, 1).data(64);
  }

  private static GgufDraft split(int number, int count, int tensors) {
    return keys(GgufDraft.head(0, 3), number, count, tensors);
  }

  private static GgufDraft splitWithTensor() {
    return keys(GgufDraft.head(1, 3), 0, 2, 0).tensor("a", 0, 0, 1).data(32);
  }

  private static GgufDraft keys(GgufDraft draft, int number, int count, int tensors) {
    return draft
        .key("split.no", 2)
        .u16(number)
        .key("split.count", 2)
        .u16(count)
        .key("split.tensors.count", 5)
        .u32(tensors);
  }

  private static Arguments wrong(String what, GgufDraft draft, int where, String found) {
    return Arguments.of(what, draft.toBytes(), Integer.toString(where), found);
  }

  private static Arguments entry(String what, GgufDraft entry, int where, String found) {
    return wrong(what, GgufDraft.head(0, 1).append(entry), where, found);
  }

  private static Arguments tensor(String what, GgufDraft tensor, int where, String found) {
    return wrong(what, GgufDraft.head(1, 0).append(tensor).data(32), where, found);
  }

  private static GgufHeader read(byte[] file) throws IOException {
    return GgufHeader.read(MemorySource.of("m.gguf", file));
  }
}
