package smelt.verify.report;

import java.util.List;

/// The colour ramp of the heat maps: nine steps from the page's ground to its ink (style classes
/// `r0` to `r8`, ordered by lightness alone), so that more ink is more of what a map shows.
final class Ramp {

  static final int STEPS = 9;
  private static final double LEAST = 34;
  private static final double LETTER = 6.4;

  private Ramp() {}

  /// Draws the steps side by side with `names` under them, lowest ink first.
  static void key(Markup page, String label, List<String> names) {
    int longest = names.stream().mapToInt(String::length).max().orElse(0);
    double box = Math.max(LEAST, longest * LETTER + 8);
    String all = label + ": " + String.join(", ", names);
    try (Drawing drawing = Drawing.fixed(page, all, box * names.size(), 30)) {
      for (int i = 0; i < names.size(); i++) {
        drawing.rect("r" + i, i * box, 1, box - 1, 11);
        double x = i * box + (box - 1) / 2;
        drawing.text("tick", x, 25, Drawing.Anchor.MIDDLE, names.get(i));
      }
    }
  }
}
