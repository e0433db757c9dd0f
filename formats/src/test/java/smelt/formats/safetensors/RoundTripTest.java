package smelt.formats.safetensors;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.formats.files.AtomicFile;
import smelt.formats.source.ByteSource;
import smelt.formats.source.MemorySource;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

class RoundTripTest {

  @TempDir Path folder;

  @Test
  void whatIsLaidOutAndWrittenIsReadBack() throws IOException {
    for (int seed = 0; seed < 300; seed++) {
      RandomTensors random = new RandomTensors(seed);
      List<SafetensorsLayout.Tensor> tensors = new ArrayList<>(random.tensors());
      Map<String, String> metadata = random.metadata();
      SafetensorsLayout layout = SafetensorsLayout.of(tensors, metadata);
      Collections.shuffle(tensors, new Random(seed));
      assertThat(SafetensorsLayout.of(tensors, metadata).header()).isEqualTo(layout.header());
      write(layout, seed);
      check(layout, metadata, seed);
    }
  }

  private void write(SafetensorsLayout layout, int seed) throws IOException {
    try (AtomicFile file = AtomicFile.create(folder.resolve("m"), layout.fileSize())) {
      file.write(0, MemorySegment.ofArray(layout.header()));
      for (TensorEntry tensor : layout.tensors()) {
        file.write(layout.offset(tensor), MemorySegment.ofArray(data(tensor, seed)));
      }
      file.commit();
    }
  }

  private void check(SafetensorsLayout layout, Map<String, String> metadata, int seed)
      throws IOException {
    try (ModelSource model = ModelSources.open(folder);
        ByteSource file = model.open("m")) {
      SafetensorsHeader header = SafetensorsHeader.read(file);
      assertThat(header.metadata()).as("seed %d", seed).isEqualTo(metadata);
      assertThat(header.tensors())
          .as("seed %d", seed)
          .containsExactlyInAnyOrderElementsOf(layout.tensors())
          .isSortedAccordingTo(SafetensorsHeader.FILE_ORDER);
      assertThat(header.dataStart() % 8).isZero();
      for (TensorEntry tensor : header.tensors()) {
        assertThat(header.offset(tensor)).isEqualTo(layout.offset(tensor));
        assertThat(layout.entry(tensor.name())).isEqualTo(tensor);
        int width = Math.max(1, tensor.type().bits() / 8);
        assertThat(header.offset(tensor) % width).as("alignment of %s", tensor).isZero();
        byte[] data = new byte[Math.toIntExact(tensor.bytes())];
        file.read(header.offset(tensor), MemorySegment.ofArray(data));
        assertThat(data).as("seed %d, %s", seed, tensor).isEqualTo(data(tensor, seed));
      }
    }
  }

  private static byte[] data(TensorEntry tensor, int seed) {
    byte[] data = new byte[Math.toIntExact(tensor.bytes())];
    new Random(seed * 31L + tensor.name().hashCode()).nextBytes(data);
    return data;
  }

  @Test
  void offsetsReachBeyondTwoGibibytes() throws IOException {
    SafetensorsLayout layout =
        SafetensorsLayout.of(
            List.of(
                new SafetensorsLayout.Tensor("large", ElementType.F32, Shape.of(3, 1L << 28)),
                new SafetensorsLayout.Tensor("last", ElementType.U8, Shape.of(5))),
            Map.of("format", "pt"));
    try (FileChannel file =
        FileChannel.open(
            folder.resolve("m"), StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      file.write(ByteBuffer.wrap(layout.header()));
      file.write(ByteBuffer.wrap("<end>".getBytes(UTF_8)), layout.offset(layout.entry("last")));
    }
    assertThat(Files.size(folder.resolve("m")))
        .isEqualTo(layout.fileSize())
        .isGreaterThan(3L << 30);
    try (ModelSource model = ModelSources.open(folder);
        ByteSource file = model.open("m")) {
      SafetensorsHeader header = SafetensorsHeader.read(file);
      byte[] end = new byte[5];
      file.read(header.offset(header.tensors().getLast()), MemorySegment.ofArray(end));
      assertThat(end).isEqualTo("<end>".getBytes(UTF_8));
    }
  }

  @Test
  void readsDataThatIsNotAligned() throws IOException {
    String json =
        "{\"b\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[1,9]},"
            + "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}} ";
    ByteBuffer bytes = ByteBuffer.allocate(8 + json.length() + 9).order(ByteOrder.LITTLE_ENDIAN);
    bytes.putLong(json.length()).put(json.getBytes(UTF_8)).put((byte) 7).putDouble(1.5);
    SafetensorsHeader header = SafetensorsHeader.read(MemorySource.of("m", bytes.array()));
    TensorEntry b = header.tensors().getLast();
    assertThat(header.dataStart() % 2).isEqualTo(1);
    assertThat(bytes.getDouble(Math.toIntExact(header.offset(b)))).isEqualTo(1.5);
  }
}
