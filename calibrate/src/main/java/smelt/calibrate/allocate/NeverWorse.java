package smelt.calibrate.allocate;

import java.util.Locale;

/// An allocation is only as good as the assumption that errors add up. So it is measured beside the
/// uniform scheme that takes as many bytes, and kept only if it loses no more.
///
/// @param allocated whether the allocation is kept
/// @param reason in words, with the figures
/// @param misjudged whether the measured error is more than `TRUSTED` times the predicted one: then
///   predictions are not to be trusted, whichever is kept
public record NeverWorse(boolean allocated, String reason, boolean misjudged) {

  /// A measured error of up to so many times the predicted one is what additivity usually costs.
  public static final double TRUSTED = 1.5;

  /// @param predicted error of the allocation
  /// @param measured error of the allocation on the same text as `uniform`
  /// @param uniform measured error of the uniform scheme
  public static NeverWorse choose(double predicted, double measured, double uniform) {
    boolean keep = measured <= uniform;
    boolean misjudged = !(measured <= TRUSTED * predicted);
    String figures =
        String.format(
            Locale.ROOT,
            "measured %.3e, predicted %.3e, uniform %.3e",
            measured,
            predicted,
            uniform);
    String verdict =
        keep
            ? "The allocation is kept: "
            : "The uniform scheme is kept, because the allocation is worse: ";
    String doubt = misjudged ? "; errors do not add up here, the prediction was too low" : "";
    return new NeverWorse(keep, verdict + figures + doubt + ".", misjudged);
  }
}
