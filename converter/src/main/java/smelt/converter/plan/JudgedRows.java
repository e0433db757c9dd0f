package smelt.converter.plan;

import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/// Rows of a target's weights whose codes a solver chose from a calibration.
///
/// @param solved how many
/// @param judged those of them that were held against plainly rounded ones, on tokens held out; of
///   the others the calibration holds too few
/// @param plain those of these that plain rounding serves better, and that are plainly rounded
public record JudgedRows(long solved, long judged, long plain) {

  /// No rows.
  public static final JudgedRows NONE = new JudgedRows(0, 0, 0);

  public JudgedRows {
    if (plain < 0 || judged < plain || solved < judged) {
      throw new IllegalArgumentException(plain + " of " + judged + " of " + solved + " rows");
    }
  }

  /// The sum.
  public JudgedRows plus(JudgedRows other) {
    return new JudgedRows(solved + other.solved, judged + other.judged, plain + other.plain);
  }

  /// As the manifest has it: twelve digits each, so that its size is known before the figures.
  Map<String, String> json() {
    return new TreeMap<>(
        Map.of("rows", digits(solved), "judged", digits(judged), "plain", digits(plain)));
  }

  private static String digits(long rows) {
    return String.format(Locale.ROOT, "%012d", rows);
  }
}
