package smelt.verify.quality;

import java.util.Locale;
import smelt.verify.stats.Limits;

/// Which look at a run's text a verdict is from, and at what level its limits are.
///
/// @param number from 1
/// @param of looks that the run was to make
/// @param confidence of every limit of the verdict, such as 0.95
/// @param units what is resampled as one
public record Look(int number, int of, double confidence, Units units) {

  /// The one look at all the text, at 95 %.
  public static final Look ONLY = new Look(1, 1, Limits.CONFIDENCE, Units.DOCUMENTS);

  public Look {
    if (number < 1 || number > of || !(confidence > 0.5 && confidence < 1)) {
      throw new IllegalArgumentException("look " + number + " of " + of + " at " + confidence);
    }
  }

  /// The same look at text in other units.
  public Look in(Units others) {
    return new Look(number, of, confidence, others);
  }

  /// The level as reports have it, such as `95 %` or `99.5 %`.
  public String level() {
    String percent = String.format(Locale.ROOT, "%.1f", 100 * confidence);
    return (percent.endsWith(".0") ? percent.substring(0, percent.length() - 2) : percent) + " %";
  }
}
