package smelt.converter.run;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;

/// Has what was written of a shard forced to the disk while more is written, so that little waits
/// in memory. Safe for threads.
final class ForceBehind {

  /// Bytes that may wait in memory for the disk before they are forced to it.
  private static final long FORCE_EVERY = 64L << 20;

  private final DiskForcer disk;
  private final DiskForcer.Unforced shard;
  private final Path name;

  private long unforced;
  private Future<?> forced = CompletableFuture.completedFuture(null);

  /// @param name of the shard, for messages
  ForceBehind(DiskForcer disk, DiskForcer.Unforced shard, Path name) {
    this.disk = disk;
    this.shard = shard;
    this.name = name;
  }

  /// Notes bytes that were written.
  synchronized void wrote(long bytes) throws IOException {
    unforced += bytes;
    if (unforced >= FORCE_EVERY && forced.isDone()) {
      await();
      unforced = 0;
      forced = disk.force(shard);
    }
  }

  /// Waits for the disk, and passes its failure on.
  synchronized void await() throws IOException {
    try {
      forced.get();
    } catch (ExecutionException e) {
      switch (e.getCause()) {
        case IOException cause -> throw cause;
        case RuntimeException cause -> throw cause;
        case Error cause -> throw cause;
        default -> throw new IllegalStateException(e.getCause());
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new InterruptedIOException(name + ": interrupted");
    }
  }
}
