package smelt.formats.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import org.junit.jupiter.api.Test;
import smelt.formats.BadInputException;
import smelt.formats.source.CountingByteSource;
import smelt.formats.source.MemorySource;

class GgufLayoutTest {

  @Test
  void writesTheBytesThatTheFormatDescribes() {
    SequencedMap<String, GgufValue> metadata = new LinkedHashMap<>();
    metadata.put("general.architecture", new GgufValue.Text("x"));
    metadata.put("a", new GgufValue.U16(0x1234));
    GgufLayout layout =
        GgufLayout.of(
            metadata,
            List.of(
                new GgufLayout.Tensor("m", GgmlType.F32, List.of(3L, 2L)),
                new GgufLayout.Tensor("q", GgmlType.Q8_0, List.of(32L))));
    byte[] expected =
        new GgufDraft()
            .bytes(0x47, 0x47, 0x55, 0x46, 3, 0, 0, 0)
            .bytes(2, 0, 0, 0, 0, 0, 0, 0)
            .bytes(2, 0, 0, 0, 0, 0, 0, 0)
            .bytes(20, 0, 0, 0, 0, 0, 0, 0)
            .raw("general.architecture")
            .bytes(8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 'x')
            .bytes(1, 0, 0, 0, 0, 0, 0, 0, 'a', 2, 0, 0, 0, 0x34, 0x12)
            .bytes(1, 0, 0, 0, 0, 0, 0, 0, 'm', 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0)
            .bytes(2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
            .bytes(1, 0, 0, 0, 0, 0, 0, 0, 'q', 1, 0, 0, 0, 32, 0, 0, 0, 0, 0, 0, 0)
            .bytes(8, 0, 0, 0, 32, 0, 0, 0, 0, 0, 0, 0)
            .data(0)
            .toBytes();
    assertThat(layout.header()).isEqualTo(expected);
    assertThat(layout.fileSize()).isEqualTo(expected.length + 32 + 64);
    GgufTensor q = layout.tensor("q");
    assertThat(layout.offset(q)).isEqualTo(expected.length + 32);
    assertThat(layout.padding(q)).isEqualTo(30);
    assertThat(layout.padding(layout.tensor("m"))).isEqualTo(8);
    assertThat(layout.tensor("m").rows()).isEqualTo(2);
    assertThat(layout.tensor("m").rowBytes()).isEqualTo(12);
  }

  @Test
  void readsBackEveryKindOfValue() throws IOException {
    SequencedMap<String, GgufValue> metadata = everyKind();
    List<GgufLayout.Tensor> tensors =
        List.of(
            new GgufLayout.Tensor("b", GgmlType.BF16, List.of(5L, 7L, 3L, 2L)),
            new GgufLayout.Tensor("a", GgmlType.Q6_K, List.of(512L, 9L)),
            new GgufLayout.Tensor("ä".repeat(31) + "x", GgmlType.I8, List.of(1L)));
    GgufLayout layout = GgufLayout.of(metadata, tensors);
    GgufHeader header = read(file(layout));
    assertThat(header.version()).isEqualTo(3);
    assertThat(header.metadata()).isEqualTo(metadata);
    assertThat(header.metadata().keySet()).containsExactlyElementsOf(metadata.keySet());
    assertThat(header.tensors()).isEqualTo(layout.tensors());
    assertThat(header.dataStart()).isEqualTo(layout.header().length);
    assertThat(header.fileSize()).isEqualTo(layout.fileSize());
    assertThat(header.offset(header.tensors().get(1))).isEqualTo(layout.offset(layout.tensor("a")));
  }

  private static SequencedMap<String, GgufValue> everyKind() {
    SequencedMap<String, GgufValue> all = new LinkedHashMap<>();
    all.put("u8", new GgufValue.U8(255));
    all.put("i8", new GgufValue.I8((byte) -128));
    all.put("u16", new GgufValue.U16(65535));
    all.put("i16", new GgufValue.I16((short) -32768));
    all.put("u32", new GgufValue.U32(0xFFFF_FFFFL));
    all.put("i32", new GgufValue.I32(Integer.MIN_VALUE));
    all.put("f32", new GgufValue.F32(1e-6f));
    all.put("true", new GgufValue.Bool(true));
    all.put("false", new GgufValue.Bool(false));
    all.put("text", new GgufValue.Text("<｜begin▁of▁sentence｜>"));
    all.put("long", new GgufValue.Text("€".repeat(100_000)));
    all.put("empty", new GgufValue.Text(""));
    all.put("texts", GgufValue.texts(List.of("Ġ t", "", "h e")));
    all.put("ints", GgufValue.ints(List.of(1, -3, 6)));
    all.put("none", new GgufValue.Array(GgufValue.Kind.F64, List.of()));
    all.put("u64", new GgufValue.U64(-1));
    all.put("i64", new GgufValue.I64(Long.MIN_VALUE));
    all.put("f64", new GgufValue.F64(Math.PI));
    return all;
  }

  @Test
  void readsVersion2AndAnotherAlignment() throws IOException {
    byte[] file =
        new GgufDraft()
            .raw("GGUF")
            .u32(2)
            .u64(2)
            .u64(1)
            .key(GgufLayout.ALIGNMENT_KEY, 4)
            .u32(64)
            .tensor("a", 0, 0, 1)
            .tensor("b", 0, 64, 1)
            .toBytes();
    byte[] whole = Arrays.copyOf(file, Math.ceilDiv(file.length, 64) * 64 + 128);
    GgufHeader header = read(whole);
    assertThat(header.version()).isEqualTo(2);
    assertThat(header.alignment()).isEqualTo(64);
    assertThat(header.dataStart() % 64).isZero();
  }

  @Test
  void readsAFileWithoutTensors() throws IOException {
    GgufLayout layout = GgufLayout.of(everyKind(), List.of());
    assertThat(read(file(layout)).tensors()).isEmpty();
    assertThat(read(new GgufDraft().raw("GGUF").u32(3).u64(0).u64(0).toBytes()).metadata())
        .isEmpty();
  }

  @Test
  void readsNoneOfTheData() throws IOException {
    GgufLayout.Tensor tensor = new GgufLayout.Tensor("a", GgmlType.F32, List.of(1L << 20, 2L));
    CountingByteSource file =
        new CountingByteSource(
            MemorySource.of("m.gguf", file(GgufLayout.of(new LinkedHashMap<>(), List.of(tensor)))));
    GgufHeader.read(file);
    assertThat(file.bytesRead()).isLessThanOrEqualTo(1 << 16);
  }

  @Test
  void namesSplitFilesAsRuntimesLookForThem() throws IOException {
    GgufSplit second = new GgufSplit(1, 12, 40);
    assertThat(second.fileName("model-Q8_0")).isEqualTo("model-Q8_0-00002-of-00012.gguf");
    GgufLayout layout = GgufLayout.of(second.metadata(), List.of());
    assertThat(read(file(layout)).split()).contains(second);
  }

  @Test
  void refusesToPlanWhatNoReaderTakes() {
    refuses("n".repeat(64), GgmlType.F32, List.of(1L));
    refuses("", GgmlType.F32, List.of(1L));
    refuses("a", GgmlType.F32, List.of());
    refuses("a", GgmlType.F32, List.of(1L, 1L, 1L, 1L, 1L));
    refuses("a", GgmlType.F32, List.of(0L));
    refuses("a", GgmlType.Q8_0, List.of(31L, 32L));
    refuses("a", GgmlType.F32, List.of(1L << 61, 4L));
    GgufLayout.Tensor twice = new GgufLayout.Tensor("a", GgmlType.F32, List.of(1L));
    assertThatThrownBy(() -> GgufLayout.of(new LinkedHashMap<>(), List.of(twice, twice)))
        .isInstanceOf(IllegalArgumentException.class);
    SequencedMap<String, GgufValue> half = new LinkedHashMap<>();
    half.put("key", new GgufValue.Text("\ud800"));
    assertThatThrownBy(() -> GgufLayout.of(half, List.of()))
        .isInstanceOf(IllegalArgumentException.class);
  }

  private static void refuses(String name, GgmlType type, List<Long> dims) {
    GgufLayout.Tensor tensor = new GgufLayout.Tensor(name, type, dims);
    assertThatThrownBy(() -> GgufLayout.of(new LinkedHashMap<>(), List.of(tensor)))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void givesBackNoFileThatIsCutAnywhereInItsHeader() {
    byte[] whole =
        file(
            GgufLayout.of(
                everyKind(), List.of(new GgufLayout.Tensor("a", GgmlType.F32, List.of(8L)))));
    for (int length = 0; length < whole.length; length += length < 600 ? 1 : 997) {
      byte[] cut = Arrays.copyOf(whole, length);
      assertThatThrownBy(() -> read(cut)).isInstanceOf(BadInputException.class);
    }
  }

  private static byte[] file(GgufLayout layout) {
    return Arrays.copyOf(layout.header(), Math.toIntExact(layout.fileSize()));
  }

  private static GgufHeader read(byte[] file) throws IOException {
    return GgufHeader.read(MemorySource.of("m.gguf", file));
  }
}
