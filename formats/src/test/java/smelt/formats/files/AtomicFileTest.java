package smelt.formats.files;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.formats.FaultyChannel;

class AtomicFileTest {

  private static final byte[] CONTENT = "0123456789abcdef".getBytes(UTF_8);

  @TempDir Path folder;

  @Test
  void appearsOnlyWhenCommitted() throws IOException {
    Path target = folder.resolve("model.safetensors");
    try (AtomicFile file = AtomicFile.create(target, CONTENT.length)) {
      file.write(0, MemorySegment.ofArray(CONTENT));
      assertThat(names()).containsExactly(".model.safetensors.part");
      file.commit();
      assertThat(names()).containsExactly("model.safetensors");
    }
    assertThat(target).hasBinaryContent(CONTENT);
  }

  @Test
  void leavesNothingWithoutCommit() throws IOException {
    try (AtomicFile file = AtomicFile.create(folder.resolve("a"), CONTENT.length)) {
      file.write(0, MemorySegment.ofArray(CONTENT));
    }
    assertThat(names()).isEmpty();
  }

  @Test
  void failingAtAnyByteLeavesNothing() throws IOException {
    for (int room = 0; room <= CONTENT.length; room++) {
      int bytes = room;
      assertThatThrownBy(() -> writeInto(disk(bytes, 3)))
          .isInstanceOf(IOException.class)
          .hasMessageContaining("No space left");
      assertThat(names()).isEmpty();
    }
    writeInto(disk(CONTENT.length + 1, 3));
    assertThat(names()).containsExactly("a");
  }

  @Test
  void failingAtAnyByteKeepsWhatWasThere() throws IOException {
    Files.writeString(folder.resolve("a"), "before");
    for (int room = 0; room <= CONTENT.length; room++) {
      int bytes = room;
      assertThatThrownBy(() -> writeInto(disk(bytes, 5))).isInstanceOf(IOException.class);
      assertThat(names()).containsExactly("a");
      assertThat(folder.resolve("a")).hasContent("before");
    }
  }

  @Test
  void leavesNothingWhenForcingFails() throws IOException {
    AtomicFile.Opener disk = part -> new FaultyChannel(create(part), 1000, 1000).failingForce();
    assertThatThrownBy(() -> writeInto(disk))
        .hasMessageEndingWith("a, finishing it: Input/output error");
    assertThat(names()).isEmpty();
  }

  @Test
  void leavesNothingWhenTheRenameFails() throws IOException {
    Files.createDirectories(folder.resolve("a/inside"));
    assertThatThrownBy(() -> AtomicFile.writeWhole(folder.resolve("a"), CONTENT))
        .isInstanceOf(IOException.class);
    assertThat(names()).containsExactly("a");
  }

  @Test
  void writesFromSeveralThreadsAndKindsOfMemory() throws Exception {
    byte[] content = new byte[(5 << 20) + 7];
    new Random(1).nextBytes(content);
    Path target = folder.resolve("many");
    int piece = (1 << 20) + 13;
    try (Arena arena = Arena.ofShared();
        AtomicFile file = AtomicFile.create(target, content.length);
        ExecutorService threads = Executors.newFixedThreadPool(4)) {
      MemorySegment bytes = arena.allocate(content.length);
      MemorySegment.copy(
          content, 0, bytes, java.lang.foreign.ValueLayout.JAVA_BYTE, 0, content.length);
      List<Future<?>> writes = new ArrayList<>();
      for (int at = 0; at < content.length; at += piece) {
        int begin = at;
        int length = Math.min(piece, content.length - at);
        MemorySegment all = writes.size() % 2 == 0 ? bytes : MemorySegment.ofArray(content);
        writes.add(
            threads.submit(() -> {
              file.write(begin, all.asSlice(begin, length));
              return null;
            }));
      }
      finish(writes);
      file.commit();
    }
    assertThat(target).hasBinaryContent(content);
  }

  private static void finish(List<Future<?>> writes)
      throws InterruptedException, ExecutionException {
    for (Future<?> write : writes) {
      write.get();
    }
  }

  @Test
  void refusesToCommitWhatIsIncomplete() throws IOException {
    try (AtomicFile file = AtomicFile.create(folder.resolve("a"), CONTENT.length)) {
      file.write(0, MemorySegment.ofArray(CONTENT).asSlice(0, 15));
      assertThatThrownBy(file::commit)
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("15 bytes")
          .hasMessageContaining("16");
    }
    assertThat(names()).isEmpty();
  }

  @Test
  void refusesToWriteOutsideThePlannedSize() throws IOException {
    try (AtomicFile file = AtomicFile.create(folder.resolve("a"), 10)) {
      MemorySegment content = MemorySegment.ofArray(CONTENT).asSlice(0, 5);
      assertThatThrownBy(() -> file.write(6, content))
          .isInstanceOf(IndexOutOfBoundsException.class);
      assertThatThrownBy(() -> file.write(-1, content))
          .isInstanceOf(IndexOutOfBoundsException.class);
    }
  }

  @Test
  void refusesToWriteAfterTheCommit() throws IOException {
    try (AtomicFile file = AtomicFile.create(folder.resolve("a"), 0)) {
      file.commit();
      assertThatThrownBy(() -> file.write(0, MemorySegment.ofArray(new byte[0])))
          .isInstanceOf(IllegalStateException.class);
    }
    assertThat(folder.resolve("a")).isEmptyFile();
  }

  @Test
  void replacesWhatAKilledRunLeft() throws IOException {
    Files.writeString(folder.resolve(".a.part"), "much more than the sixteen bytes to come");
    AtomicFile.writeWhole(folder.resolve("a"), CONTENT);
    assertThat(names()).containsExactly("a");
    assertThat(folder.resolve("a")).hasBinaryContent(CONTENT);
  }

  @Test
  void writesNotThroughALinkUnderThePartName() throws IOException {
    Path outside = Files.writeString(folder.resolve("outside"), "untouched");
    Files.createSymbolicLink(folder.resolve(".a.part"), outside);
    AtomicFile.writeWhole(folder.resolve("a"), CONTENT);
    assertThat(outside).hasContent("untouched");
    assertThat(folder.resolve("a")).hasBinaryContent(CONTENT);
  }

  @Test
  void writesBeyondTwoGibibytes() throws IOException {
    Path target = folder.resolve("large");
    long size = (5L << 30) + 3;
    try (Arena arena = Arena.ofConfined();
        AtomicFile file = AtomicFile.create(target, size)) {
      MemorySegment marks = arena.allocateFrom("<end>");
      file.write(size - 6, marks);
      assertThat(Files.size(folder.resolve(".large.part"))).isEqualTo(size);
      assertThatThrownBy(file::commit).isInstanceOf(IllegalStateException.class);
    }
  }

  private void writeInto(AtomicFile.Opener disk) throws IOException {
    try (AtomicFile file = AtomicFile.create(folder.resolve("a"), CONTENT.length, disk)) {
      file.write(8, MemorySegment.ofArray(CONTENT).asSlice(8));
      file.write(0, MemorySegment.ofArray(CONTENT).asSlice(0, 8));
      file.commit();
    }
  }

  private static AtomicFile.Opener disk(long room, int step) {
    return part -> new FaultyChannel(create(part), room, step);
  }

  private static FileChannel create(Path part) throws IOException {
    return FileChannel.open(part, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
  }

  private List<String> names() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(f -> f.getFileName().toString()).sorted().toList();
    }
  }
}
