package smelt.converter.progress;

import java.io.PrintWriter;
import java.time.Duration;
import java.util.concurrent.atomic.LongAdder;

/// Shows how far a command has come: bytes, units, rate, time left.
///
/// On a terminal one line is rewritten four times a second; elsewhere a plain line is written when
/// five seconds have passed or another twentieth is done, but at most once a second. [#advance] and
/// [#unitDone] may be called by any number of threads, and cost no more than a counter. The line is
/// written by a thread of its own, a daemon that ends with [#close].
public final class Progress implements AutoCloseable {

  private static final Duration REWRITE_EVERY = Duration.ofMillis(250);
  private static final Duration LOOK_EVERY = Duration.ofSeconds(1);
  private static final Duration LINE_EVERY = Duration.ofSeconds(5);
  private static final int PARTS = 20;

  private enum Style {
    SILENT,
    LINES,
    REWRITING
  }

  private final Style style;
  private final String what;
  private final PrintWriter out;
  private final int width;
  private final LongAdder bytes = new LongAdder();
  private final LongAdder units = new LongAdder();
  private volatile Thread writer;
  private long totalBytes;
  private long totalUnits;
  private long started;

  private Progress(Style style, String what, PrintWriter out, int width) {
    this.style = style;
    this.what = what;
    this.out = out;
    this.width = width;
  }

  /// Counts, and says nothing.
  public static Progress silent() {
    return new Progress(Style.SILENT, "", new PrintWriter(PrintWriter.nullWriter()), 0);
  }

  /// Plain lines, for a log.
  ///
  /// @param what begins each line, such as `convert`
  public static Progress lines(String what, PrintWriter out) {
    return new Progress(Style.LINES, what, out, Integer.MAX_VALUE);
  }

  /// One line that is rewritten, for a terminal.
  ///
  /// @param width columns of the terminal; longer lines are cut
  public static Progress rewriting(String what, PrintWriter out, int width) {
    return new Progress(Style.REWRITING, what, out, width);
  }

  /// Begins to count and to show. Called once.
  ///
  /// @param totalBytes bytes that will be advanced in all
  /// @param totalUnits units that will be done in all
  public void start(long totalBytes, long totalUnits) {
    this.totalBytes = totalBytes;
    this.totalUnits = totalUnits;
    this.started = System.nanoTime();
    if (style != Style.SILENT) {
      writer = Thread.ofPlatform().daemon().name("progress").start(this::show);
    }
  }

  /// More bytes are done.
  public void advance(long moreBytes) {
    bytes.add(moreBytes);
  }

  /// One more unit is done.
  public void unitDone() {
    units.increment();
  }

  /// Bytes done so far.
  public long bytes() {
    return bytes.sum();
  }

  /// Writes the last state and stops; does nothing the second time.
  @Override
  public void close() {
    Thread thread = writer;
    if (thread == null) {
      return;
    }
    writer = null;
    thread.interrupt();
    boolean interrupted = false;
    while (thread.isAlive()) {
      try {
        thread.join();
      } catch (InterruptedException _) {
        interrupted = true;
      }
    }
    write(snapshot().lastLine(what), true);
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private Snapshot snapshot() {
    Duration elapsed = Duration.ofNanos(System.nanoTime() - started);
    return new Snapshot(bytes.sum(), totalBytes, units.sum(), totalUnits, elapsed);
  }

  private void show() {
    Duration pause = style == Style.REWRITING ? REWRITE_EVERY : LOOK_EVERY;
    Duration lastLine = Duration.ZERO;
    long lastPart = 0;
    try {
      while (true) {
        Thread.sleep(pause);
        Snapshot now = snapshot();
        long part = (long) (now.share() * PARTS);
        boolean due =
            style == Style.REWRITING
                || part > lastPart
                || now.elapsed().minus(lastLine).compareTo(LINE_EVERY) >= 0;
        if (due) {
          write(now.line(what), false);
          lastLine = now.elapsed();
          lastPart = part;
        }
      }
    } catch (InterruptedException _) {
      // close() writes the last line.
    }
  }

  private void write(String line, boolean last) {
    String cut = line.length() < width ? line : line.substring(0, Math.max(0, width - 1));
    if (style == Style.REWRITING) {
      out.print("\r" + cut + "\u001b[K" + (last ? System.lineSeparator() : ""));
    } else {
      out.println(cut);
    }
    out.flush();
  }
}
