package smelt.calibrate.math;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/// Memory that operations use while they run, kept between them and enlarged when one needs more.
final class Workspace implements AutoCloseable {

  private Arena arena;
  private MemorySegment memory = MemorySegment.NULL;

  @SuppressWarnings("MustBeClosed") // until close()
  Workspace() {
    arena = Arena.ofShared();
  }

  /// At least `bytes`, with anything in them. What was given before is void.
  @SuppressWarnings("MustBeClosed") // until close()
  MemorySegment atLeast(long bytes) {
    if (memory.byteSize() < bytes) {
      arena.close();
      arena = Arena.ofShared();
      memory = arena.allocate(bytes, 64);
    }
    return memory;
  }

  @Override
  public void close() {
    arena.close();
  }
}
