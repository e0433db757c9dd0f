package smelt.converter.progress;

import java.time.Duration;
import java.util.Locale;

/// How far it was at one moment.
record Snapshot(long bytes, long totalBytes, long units, long totalUnits, Duration elapsed) {

  /// What is done, from 0 to 1.
  double share() {
    return totalBytes <= 0 ? 1 : Math.min(1, (double) bytes / totalBytes);
  }

  /// Such as `convert 42 % 1.23 of 2.93 GB 0.84 GB/s units 5/12 ETA 0:02`.
  String line(String what) {
    return head(what) + "  ETA " + eta();
  }

  /// The same with the time it took in place of the time left.
  String lastLine(String what) {
    return head(what) + "  in " + clock(elapsed);
  }

  private String head(String what) {
    boolean small = totalBytes < 1e9;
    double unit = small ? 1e6 : 1e9;
    return String.format(
        Locale.ROOT,
        "%s  %3d %%  %.2f of %.2f %s  %.2f GB/s  units %d/%d",
        what,
        (int) (share() * 100),
        bytes / unit,
        totalBytes / unit,
        small ? "MB" : "GB",
        bytes / 1e9 / seconds(),
        units,
        totalUnits);
  }

  private String eta() {
    if (bytes == 0) {
      return "--:--";
    }
    double left = Math.max(0, totalBytes - bytes) * (seconds() / bytes);
    return clock(Duration.ofSeconds((long) Math.ceil(left)));
  }

  private double seconds() {
    return Math.max(elapsed.toNanos(), 1) / 1e9;
  }

  private static String clock(Duration time) {
    return time.toHours() > 0
        ? String.format(
            Locale.ROOT, "%d:%02d:%02d", time.toHours(), time.toMinutesPart(), time.toSecondsPart())
        : String.format(Locale.ROOT, "%d:%02d", time.toMinutes(), time.toSecondsPart());
  }
}
