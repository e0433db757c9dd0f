package smelt.converter.run;

import java.io.IOException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/// Forces files to the disk while they are still being written, so that the disk works while the
/// processors do, and little is left to wait for when a shard is sealed. One thread, which hardly
/// takes processor time.
class DiskForcer implements AutoCloseable {

  /// Something written whose bytes may still wait in memory.
  interface Unforced {
    /// Forces to the disk what was written so far.
    void force() throws IOException;
  }

  private final ExecutorService thread =
      Executors.newSingleThreadExecutor(Thread.ofPlatform().name("smelt-disk").factory());

  /// Forces what was written so far. A failure shows in the result, and must be looked at: the
  /// system tells of a failed write only once.
  Future<?> force(Unforced shard) {
    return thread.submit(() -> {
      shard.force();
      return null;
    });
  }

  @Override
  public void close() {
    thread.close();
  }
}
