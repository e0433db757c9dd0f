package smelt.verify;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/// Names and patterns of compressed-tensors: exact module names; `re:` and a pattern that is
/// anchored at the start only, as Python's `re.match`; class names such as `Linear`.
///
/// The patterns come from a file, so a search that runs wild is given up: it then does not match.
///
/// @param entries as written
/// @param names the entries that are no patterns
/// @param patterns the entries that are, without `re:`
/// @param malformed patterns that do not compile
record CtTargets(
    List<String> entries, Set<String> names, List<Pattern> patterns, List<String> malformed) {

  private static final String PATTERN = "re:";
  private static final int STEPS = 200_000;

  static CtTargets of(List<String> entries) {
    Set<String> names = new LinkedHashSet<>();
    List<Pattern> patterns = new ArrayList<>();
    List<String> malformed = new ArrayList<>();
    for (String entry : entries) {
      if (!entry.startsWith(PATTERN)) {
        names.add(entry);
        continue;
      }
      try {
        patterns.add(Pattern.compile(entry.substring(PATTERN.length())));
      } catch (PatternSyntaxException _) {
        malformed.add(entry);
      }
    }
    return new CtTargets(List.copyOf(entries), names, patterns, malformed);
  }

  /// Whether an exact name or a pattern names the module; class names are not looked at.
  boolean matches(String module) {
    return names.contains(module) || patterns.stream().anyMatch(p -> lookingAt(p, module));
  }

  private static boolean lookingAt(Pattern pattern, String module) {
    try {
      return pattern.matcher(new Counted(module, new int[] {STEPS})).lookingAt();
    } catch (RanWild | StackOverflowError _) {
      return false;
    }
  }

  private static final class RanWild extends RuntimeException {
    private static final long serialVersionUID = 1;
  }

  /// A text that can be looked at only so often.
  private static final class Counted implements CharSequence {

    private final String text;
    private final int[] left;

    Counted(String text, int[] left) {
      this.text = text;
      this.left = left;
    }

    @Override
    public char charAt(int index) {
      if (left[0]-- <= 0) {
        throw new RanWild();
      }
      return text.charAt(index);
    }

    @Override
    public int length() {
      return text.length();
    }

    @Override
    public CharSequence subSequence(int start, int end) {
      return new Counted(text.substring(start, end), left);
    }

    @Override
    public String toString() {
      return text;
    }
  }
}
