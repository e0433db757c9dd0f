package smelt.converter.run;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.OptionalLong;
import java.util.concurrent.atomic.AtomicLong;

/// Watches how much anonymous memory this process takes: heap, buffers and the Java machine itself.
/// Mapped files do not count, because the system can drop their pages at any time.
///
/// Reads `RssAnon` of `/proc/self/status` every few milliseconds; where there is none, nothing is
/// measured.
public final class AnonymousMemory implements AutoCloseable {

  private static final Path STATUS = Path.of("/proc/self/status");
  private static final Duration EVERY = Duration.ofMillis(10);

  private final AtomicLong peak = new AtomicLong();
  private final Thread watcher;
  private volatile boolean closed;

  public AnonymousMemory() {
    watcher = Thread.ofPlatform().daemon().name("smelt-memory").start(this::watch);
  }

  private void watch() {
    while (!closed && look()) {
      try {
        Thread.sleep(EVERY);
      } catch (InterruptedException _) {
        return;
      }
    }
  }

  /// One look; false when the system does not tell.
  private boolean look() {
    OptionalLong now = now();
    now.ifPresent(bytes -> peak.accumulateAndGet(bytes, Math::max));
    return now.isPresent();
  }

  private static OptionalLong now() {
    try {
      for (String line : Files.readAllLines(STATUS, StandardCharsets.US_ASCII)) {
        if (line.startsWith("RssAnon:")) {
          String kibibytes = line.substring("RssAnon:".length()).replace("kB", "").strip();
          return OptionalLong.of(Long.parseLong(kibibytes) << 10);
        }
      }
      return OptionalLong.empty();
    } catch (IOException | NumberFormatException _) {
      return OptionalLong.empty();
    }
  }

  /// The largest value seen, in bytes; empty where the system does not tell.
  public OptionalLong peak() {
    look();
    return peak.get() == 0 ? OptionalLong.empty() : OptionalLong.of(peak.get());
  }

  @Override
  public void close() {
    closed = true;
    watcher.interrupt();
  }
}
