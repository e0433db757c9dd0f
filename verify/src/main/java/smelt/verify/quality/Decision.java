package smelt.verify.quality;

import java.util.OptionalDouble;
import java.util.OptionalLong;
import smelt.verify.quality.Gate.Outcome;
import smelt.verify.stats.Limits;

/// How a gate on a sample ends. It is the limit that is held against the bound. A value beyond its
/// bound fails whatever its limit; a value that holds without a limit to prove it is no pass.
///
/// @param tokens that were scored
/// @param documents that they are from
record Decision(Look look, long tokens, int documents) {

  /// @param needed tokens that would decide, if it is known
  /// @param seen what was seen beyond the numbers
  Gate gate(
      Metric metric,
      double bound,
      double value,
      OptionalDouble limit,
      OptionalLong needed,
      String seen) {
    if (!holds(metric, value, bound)) {
      return new Gate(metric, bound, value, limit, Outcome.FAIL, seen);
    }
    if (limit.isEmpty()) {
      return new Gate(metric, bound, value, limit, Outcome.SKIPPED, noLimit(needed));
    }
    if (holds(metric, limit.getAsDouble(), bound)) {
      return new Gate(metric, bound, value, limit, Outcome.PASS, seen);
    }
    String detail =
        "the value holds, its " + look.level() + " limit does not: " + more(needed) + "; " + seen;
    return new Gate(metric, bound, value, limit, Outcome.FAIL, detail);
  }

  static boolean holds(Metric metric, double value, double bound) {
    return switch (metric.side()) {
      case AT_MOST -> value <= bound;
      case AT_LEAST -> value >= bound;
    };
  }

  private String noLimit(OptionalLong needed) {
    return documents < Limits.LEAST_SEQUENCES
        ? "the value holds, but "
            + documents
            + " "
            + look.units().word(documents)
            + (documents == 1 ? " gives" : " give")
            + " no "
            + look.level()
            + " limit; at least "
            + Limits.LEAST_SEQUENCES
            + " are needed"
        : "the value holds, but no " + look.level() + " limit exists: " + more(needed);
  }

  private String more(OptionalLong needed) {
    String scored = Figures.count(tokens) + " tokens are too few to decide";
    if (needed.isEmpty()) {
      return scored + ", and so is any number";
    }
    // The formula asks for 95 % of luck; who had less and enough tokens is told to double them.
    return scored
        + ", about "
        + Figures.count(needed.getAsLong() > tokens ? needed.getAsLong() : 2L * tokens)
        + " are needed";
  }
}
