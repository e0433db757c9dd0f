package smelt.verify;

import java.util.EnumSet;
import java.util.Set;

/// One thing that a rule has found.
///
/// The texts may quote names from the files. They are neutralised here, once: control characters
/// and the characters that reorder or hide text become `?`, and what is very long is cut.
///
/// @param rule the name of the rule, such as `companions-complete`
/// @param runtimes whom it concerns; never empty
/// @param where the file, and where they are known the tensor and the place in it
/// @param found what is there
/// @param expected what should be there
/// @param consequence what would go wrong at serving, or what to do
public record Finding(
    String rule,
    Severity severity,
    Set<ServingRuntime> runtimes,
    String where,
    String found,
    String expected,
    String consequence) {

  private static final int LONGEST = 2000;

  public Finding {
    if (runtimes.isEmpty()) {
      throw new IllegalArgumentException("a finding that concerns nobody: " + rule);
    }
    runtimes = Set.copyOf(runtimes);
    where = printable(where);
    found = printable(found);
    expected = printable(expected);
    consequence = printable(consequence);
  }

  /// All parts in one line.
  public String text() {
    String whom = ServingRuntime.labels(EnumSet.copyOf(runtimes));
    return "%s %s [%s] %s: found %s; expected %s; %s"
        .formatted(severity.label(), rule, whom, where, found, expected, consequence);
  }

  private static String printable(String text) {
    StringBuilder out = new StringBuilder(Math.min(text.length(), LONGEST));
    text.codePoints().limit(LONGEST).forEach(c -> out.appendCodePoint(hidesText(c) ? '?' : c));
    return text.codePointCount(0, text.length()) > LONGEST ? out + "..." : out.toString();
  }

  private static boolean hidesText(int c) {
    return switch (Character.getType(c)) {
      case Character.CONTROL,
          Character.FORMAT,
          Character.SURROGATE,
          Character.UNASSIGNED,
          Character.LINE_SEPARATOR,
          Character.PARAGRAPH_SEPARATOR ->
          true;
      default -> false;
    };
  }
}
