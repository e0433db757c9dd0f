package smelt.verify.inference;

/// Tells a watcher of the bytes that are read, and never of more than each part of the work was
/// announced with: of some weights rows are read again, of others none are needed. Safe for several
/// threads.
final class ByteProgress {

  private final Verification.Watcher watcher;
  private long told;
  private long mark;

  ByteProgress(Verification.Watcher watcher) {
    this.watcher = watcher;
  }

  /// Begins a part of so many bytes; the one before is complete.
  synchronized void begin(long bytes) {
    complete();
    mark = Math.addExact(mark, bytes);
  }

  synchronized void read(long bytes) {
    tell(Math.min(bytes, mark - told));
  }

  /// The part is done, whatever it has read.
  synchronized void complete() {
    tell(mark - told);
  }

  private void tell(long bytes) {
    if (bytes > 0) {
      told += bytes;
      watcher.read(bytes);
    }
  }
}
