package smelt.converter.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.converter.plan.ShardLayout;
import smelt.converter.plan.TargetPlan;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.formats.safetensors.SafetensorsLayout;

/// A shard is forced to the disk while it is written.
class ShardWriterTest {

  /// Pieces of 32 MiB: after the second one the shard is forced for the first time.
  private static final long PIECE = 32L << 20;

  private static final int PIECES = 3;

  @TempDir Path folder;

  /// A disk that cannot keep what it was given before the shard is complete, and can afterwards:
  /// the system reports a lost write only once.
  private static final class LosingDisk extends DiskForcer {
    int forced;

    @Override
    Future<?> force(Unforced shard) {
      forced++;
      return forced == 1
          ? CompletableFuture.failedFuture(new IOException("lost a write"))
          : super.force(shard);
    }
  }

  @Test
  void aWriteLostEarlyLeavesNoShard() throws Exception {
    try (LosingDisk disk = new LosingDisk()) {
      try (ShardWriter writer = ShardWriter.create(folder, shard(), disk)) {
        assertThatThrownBy(
                () -> {
                  writeAll(writer);
                  writer.seal(0);
                })
            .isInstanceOf(IOException.class)
            .hasMessage("lost a write");
      }
      assertThat(disk.forced).isEqualTo(1);
    }
    assertThat(files()).isEmpty();
  }

  @Test
  void aShardForcedInPiecesIsSealed() throws Exception {
    try (DiskForcer disk = new DiskForcer();
        ShardWriter writer = ShardWriter.create(folder, shard(), disk)) {
      writeAll(writer);
      Receipt.ShardDigest digest = writer.seal(0);
      assertThat(digest.bytes()).isEqualTo(shard().layout().fileSize());
    }
    assertThat(files()).containsExactly("x.safetensors");
  }

  private static TargetPlan.Shard shard() {
    SafetensorsLayout layout =
        SafetensorsLayout.of(
            List.of(new SafetensorsLayout.Tensor("w", ElementType.U8, Shape.of(PIECES * PIECE))),
            Map.of());
    return new TargetPlan.Shard(0, "x.safetensors", new ShardLayout.Safetensors(layout));
  }

  private static void writeAll(ShardWriter writer) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment bytes = arena.allocate(PIECE);
      for (int i = 0; i < PIECES; i++) {
        writer.write("w", i * PIECE, bytes);
      }
    }
  }

  private List<String> files() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(f -> f.getFileName().toString()).toList();
    }
  }
}
