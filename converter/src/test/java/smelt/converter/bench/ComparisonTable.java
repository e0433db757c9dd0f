package smelt.converter.bench;

import java.util.List;
import java.util.Locale;

/// The measurements as a Markdown table.
final class ComparisonTable {

  private ComparisonTable() {}

  static String of(List<Comparison> comparisons) {
    StringBuilder table = new StringBuilder();
    table.append(
        """
        | target | GB in | GB out | s | GB/s | of `cp` | of `cp` + `sync` | CPU s | CPU s of `cp` \
        | MiB peak | MiB planned |
        |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
        """);
    for (Comparison c : comparisons) {
      table.append(
          String.format(
              Locale.ROOT,
              "| `%s` | %.2f | %.2f | %.1f | %.2f | %.2f | %.2f | %.1f | %.1f | %d | %d |%n",
              c.target(),
              c.bytesIn() / 1e9,
              c.bytesOut() / 1e9,
              c.seconds(),
              c.gigabytesPerSecond(),
              c.ofCopy(),
              c.ofCopyAndSync(),
              c.median(r -> r.convert().cpuSeconds()),
              c.median(r -> r.copy().cpuSeconds()),
              mebibytes(c.median(Comparison.Round::memoryPeak)),
              mebibytes(c.median(Comparison.Round::memoryPlanned))));
    }
    return table.toString();
  }

  private static long mebibytes(double bytes) {
    return Math.round(bytes / (1 << 20));
  }
}
