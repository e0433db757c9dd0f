package smelt.verify.quality;

import java.util.OptionalDouble;

/// One bound, and how it ended.
///
/// @param metric such as `mean_kl`; the names are listed in [Metric]
/// @param bound what must hold, in the metric's unit
/// @param value the point estimate
/// @param limit the one-sided confidence limit on the bound's side, at the level of the verdict's
///   look: it, not the value, is held against the bound; empty for what is measured exactly
/// @param detail what was seen beyond the numbers, such as the worst tensor's name; may be empty
public record Gate(
    Metric metric,
    double bound,
    double value,
    OptionalDouble limit,
    Outcome outcome,
    String detail) {

  /// How a bound ended.
  public enum Outcome {
    PASS,
    FAIL,
    /// Not measured; the detail says why. A verdict with one is no pass.
    SKIPPED
  }
}
