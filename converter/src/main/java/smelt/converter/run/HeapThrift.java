package smelt.converter.run;

import java.lang.management.ManagementFactory;
import java.lang.management.MemoryPoolMXBean;
import java.lang.management.MemoryType;
import java.time.Duration;
import java.util.Optional;

/// Keeps the Java heap near what is live. The serial collector lets garbage pile up in the old
/// generation until the heap has its largest size; this asks for a collection as soon as the old
/// generation holds half as much again as was live after the last one.
///
/// Does nothing with collectors that have no single old generation.
public final class HeapThrift implements AutoCloseable {

  private static final Duration EVERY = Duration.ofMillis(5);
  private static final long FREE_TO_GROW = 8L << 20;

  private final Optional<MemoryPoolMXBean> old;
  private volatile boolean closed;

  public HeapThrift() {
    old =
        ManagementFactory.getMemoryPoolMXBeans().stream()
            .filter(p -> p.getType() == MemoryType.HEAP && p.getName().equals("Tenured Gen"))
            .findFirst();
    old.ifPresent(pool -> Thread.ofPlatform().daemon().name("smelt-heap").start(() -> keep(pool)));
  }

  private void keep(MemoryPoolMXBean pool) {
    long limit = limit(pool.getUsage().getUsed());
    while (!closed) {
      if (pool.getUsage().getUsed() > limit) {
        System.gc();
        limit = limit(pool.getUsage().getUsed());
      }
      try {
        Thread.sleep(EVERY);
      } catch (InterruptedException _) {
        return;
      }
    }
  }

  private static long limit(long live) {
    return live + live / 2 + FREE_TO_GROW;
  }

  @Override
  public void close() {
    closed = true;
  }
}
