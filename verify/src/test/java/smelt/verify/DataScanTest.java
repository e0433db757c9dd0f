package smelt.verify;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Tensors that lie across the pieces in which files are read, at odd offsets.
class DataScanTest {

  private static final int ELEMENTS = 3 << 20;

  @TempDir Path folder;

  /// One F32 tensor over three chunks behind an odd number of bytes, NaN at the given elements.
  private void write(int headerPadding, List<Integer> bad) throws IOException {
    String json =
        "{\"__metadata__\":{\"format\":\"pt\"},"
            + "\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]},"
            + "\"b.weight\":{\"dtype\":\"F32\",\"shape\":["
            + ELEMENTS
            + "],\"data_offsets\":[3,"
            + (3 + ELEMENTS * 4)
            + "]},\"c\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":["
            + (3 + ELEMENTS * 4)
            + ","
            + (3 + ELEMENTS * 4)
            + "]}}"
            + " ".repeat(headerPadding);
    byte[] header = json.getBytes(UTF_8);
    ByteBuffer file =
        ByteBuffer.allocate(8 + header.length + 3 + ELEMENTS * 4).order(ByteOrder.LITTLE_ENDIAN);
    file.putLong(header.length).put(header);
    int data = file.position() + 3;
    for (int element : bad) {
      file.putFloat(data + element * 4, Float.NaN);
    }
    Files.write(folder.resolve("model.safetensors"), file.array());
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 3, 4, 5, 6, 7})
  void findsValuesWhereverAChunkIsCut(int padding) throws IOException {
    int cut = (4 << 20) / 4;
    List<Integer> bad = List.of(0, cut - 60, cut - 1, cut, cut + 1, 2 * cut - 1, ELEMENTS - 1);
    write(padding, bad);
    for (boolean manifest : new boolean[] {false, true}) {
      if (manifest) {
        ManifestDraft.of(folder).write(folder);
      }
      CheckReport report = Check.run(folder, Set.of(), CheckOptions.full());
      assertThat(report.findings())
          .filteredOn(f -> f.rule().equals("weights-finite"))
          .singleElement()
          .satisfies(f ->
              assertThat(f.found())
                  .startsWith("7 of 3145728 values, the first (0x7fc00000) at [0]"));
      assertThat(report.findings())
          .extracting(Finding::rule)
          .doesNotContain("tensor-digests", "file-digests");
      assertThat(report.passed().contains("file-digests")).isEqualTo(manifest);
    }
  }

  @Test
  void readsEachByteOnce() throws IOException {
    write(0, List.of());
    CheckReport plain = Check.run(folder, Set.of(), CheckOptions.full());
    assertThat(plain.figures()).containsEntry("data_bytes_read", 3L + ELEMENTS * 4L);
    ManifestDraft.of(folder).write(folder);
    long size = Files.size(folder.resolve("model.safetensors"));
    CheckReport ours = Check.run(folder, Set.of(), CheckOptions.full());
    assertThat(ours.figures()).containsEntry("data_bytes_read", size);
  }
}
