package smelt.formats.source;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.formats.BadInputException;
import smelt.formats.FaultyChannel;

class FileByteSourceTest {

  @TempDir Path folder;

  @Test
  void readsBeyondTwoGibibytes() throws IOException {
    long size = (5L << 30) + 5;
    Path path = folder.resolve("large");
    try (FileChannel channel =
        FileChannel.open(path, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      channel.write(ByteBuffer.wrap("<end>".getBytes(UTF_8)), size - 5);
    }
    try (FileByteSource source = FileByteSource.open("large", path)) {
      assertThat(source.size()).isEqualTo(size);
      assertThat(text(source, size - 6, 6)).isEqualTo("\0<end>");
      assertThatThrownBy(() -> text(source, size - 4, 5))
          .isInstanceOf(IndexOutOfBoundsException.class);
    }
  }

  @Test
  void fillsASegmentFromAChannelThatReadsOneByteAtATime() throws IOException {
    Path path = Files.writeString(folder.resolve("a"), "0123456789");
    FileChannel slow = new FaultyChannel(FileChannel.open(path), 1000, 1);
    FileStamp stamp = FileStamp.of(path);
    try (FileByteSource source = new FileByteSource("a", path, stamp, 2, 7, slow)) {
      assertThat(text(source, 0, 7)).isEqualTo("2345678");
      assertThat(text(source, 3, 2)).isEqualTo("56");
      assertThat(text(source, 7, 0)).isEmpty();
      assertThatThrownBy(() -> text(source, 3, 5)).isInstanceOf(IndexOutOfBoundsException.class);
    }
  }

  @Test
  void passesADisksFailureOn() throws IOException {
    Path path = Files.writeString(folder.resolve("a"), "0123456789");
    FileChannel broken = new FaultyChannel(FileChannel.open(path), 4, 3);
    try (FileByteSource source = new FileByteSource("a", path, FileStamp.of(path), 0, 10, broken)) {
      assertThatThrownBy(() -> text(source, 0, 10)).isExactlyInstanceOf(IOException.class);
    }
  }

  @Test
  void readsIntoNativeAndHeapMemory() throws IOException {
    byte[] content = new byte[(3 << 20) + 11];
    new java.util.Random(3).nextBytes(content);
    Path path = Files.write(folder.resolve("a"), content);
    try (Arena arena = Arena.ofConfined();
        FileByteSource source = FileByteSource.open("a", path)) {
      MemorySegment memory = arena.allocate(content.length - 1);
      source.read(1, memory);
      byte[] heap = new byte[content.length - 1];
      source.read(1, MemorySegment.ofArray(heap));
      MemorySegment expected = MemorySegment.ofArray(content).asSlice(1);
      assertThat(memory.mismatch(expected)).isEqualTo(-1);
      assertThat(MemorySegment.ofArray(heap).mismatch(expected)).isEqualTo(-1);
    }
  }

  @Test
  void saysThatAFileBecameShorterWhileReading() throws IOException {
    Path path = Files.writeString(folder.resolve("a"), "0123456789");
    try (FileByteSource source = FileByteSource.open("a", path)) {
      try (FileChannel channel = FileChannel.open(path, StandardOpenOption.WRITE)) {
        channel.truncate(6);
      }
      assertThatThrownBy(() -> text(source, 2, 8))
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining("byte 6")
          .hasMessageContaining("changed while reading");
      assertThatThrownBy(source::checkUnchanged)
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining("size 10, now 6");
    }
  }

  @Test
  void noticesAnotherTimeAndAnotherFile() throws IOException {
    Path path = Files.writeString(folder.resolve("a"), "0123456789");
    FileTime time = Files.getLastModifiedTime(path);
    try (FileByteSource source = FileByteSource.open("a", path)) {
      source.checkUnchanged();
      Files.setLastModifiedTime(path, FileTime.fromMillis(time.toMillis() + 1000));
      assertThatThrownBy(source::checkUnchanged).hasMessageContaining("modified meanwhile");

      Path other = Files.writeString(folder.resolve("b"), "9876543210");
      Files.setLastModifiedTime(other, time);
      Files.move(other, path, StandardCopyOption.REPLACE_EXISTING);
      assertThatThrownBy(source::checkUnchanged).hasMessageContaining("another file");
    }
  }

  @Test
  void countsBytesAndFailsWhereItIsTold() throws IOException {
    Path path = Files.writeString(folder.resolve("a"), "0123456789");
    try (ModelSource model = new CountingModelSource(ModelSources.open(folder), 12);
        CountingByteSource file = new CountingByteSource(FileByteSource.open("a", path), 10)) {
      assertThat(text(file, 0, 10)).isEqualTo("0123456789");
      assertThat(file.bytesRead()).isEqualTo(10);
      assertThatThrownBy(() -> text(file, 0, 1)).isInstanceOf(IOException.class);
      model.readSmall("a", 10);
      assertThatThrownBy(() -> model.readSmall("a", 10)).isInstanceOf(IOException.class);
    }
  }

  private static String text(ByteSource source, long offset, int length) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment bytes = arena.allocate(length);
      source.read(offset, bytes);
      return new String(bytes.toArray(ValueLayout.JAVA_BYTE), UTF_8);
    }
  }
}
