package smelt.converter.bench;

import java.util.List;
import java.util.function.ToDoubleFunction;

/// What was measured of one target, run after run.
///
/// @param bytesIn size of the source
/// @param bytesOut size of the result
record Comparison(String target, long bytesIn, long bytesOut, List<Round> rounds) {

  Comparison {
    rounds = List.copyOf(rounds);
  }

  /// The conversion and what it is compared with, one right after the other.
  ///
  /// @param copy `cp` of the larger of source and result
  /// @param copyAndSync the same, then `sync` of its files
  record Round(Timed convert, Timed copy, Timed copyAndSync, long memoryPlanned, long memoryPeak) {}

  /// Bytes that a copy of the larger side reads, and writes.
  long bytes() {
    return Math.max(bytesIn, bytesOut);
  }

  double median(ToDoubleFunction<Round> value) {
    double[] sorted = rounds.stream().mapToDouble(value).sorted().toArray();
    int middle = sorted.length / 2;
    return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }

  double seconds() {
    return median(r -> r.convert().seconds());
  }

  double gigabytesPerSecond() {
    return bytes() / seconds() / 1e9;
  }

  double ofCopy() {
    return median(r -> r.copy().seconds() / r.convert().seconds());
  }

  double ofCopyAndSync() {
    return median(r -> r.copyAndSync().seconds() / r.convert().seconds());
  }
}
