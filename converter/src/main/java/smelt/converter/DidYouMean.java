package smelt.converter;

import java.util.Collection;
import java.util.Comparator;
import java.util.Optional;

/// Finds the word that was probably meant.
public final class DidYouMean {

  private static final int LONGEST = 200;

  private DidYouMean() {}

  /// The known word nearest to `word`, if it is near enough to be a slip: at most a third of its
  /// letters differ, or one is the beginning of the other.
  public static Optional<String> closest(String word, Collection<String> known) {
    if (word.isEmpty() || word.length() > LONGEST) {
      return Optional.empty();
    }
    return known.stream()
        .filter(candidate -> isNear(word, candidate))
        .min(
            Comparator.<String>comparingInt(candidate -> distance(word, candidate))
                .thenComparing(Comparator.naturalOrder()));
  }

  /// `did you mean 'x'?` for the nearest word, otherwise what to do instead.
  public static String remedy(String word, Collection<String> known, String otherwise) {
    return closest(word, known).map(near -> "did you mean '" + near + "'?").orElse(otherwise);
  }

  private static boolean isNear(String word, String candidate) {
    if (word.length() >= 3 && (candidate.startsWith(word) || word.startsWith(candidate))) {
      return true;
    }
    return distance(word, candidate) <= Math.max(1, Math.min(word.length(), 12) / 3);
  }

  /// Inserted, removed, replaced letters and swapped neighbours that lead from one to the other.
  static int distance(String a, String b) {
    int[][] cost = new int[a.length() + 1][b.length() + 1];
    for (int i = 0; i <= a.length(); i++) {
      for (int j = 0; j <= b.length(); j++) {
        cost[i][j] = i == 0 || j == 0 ? i + j : step(cost, a, b, i, j);
      }
    }
    return cost[a.length()][b.length()];
  }

  private static int step(int[][] cost, String a, String b, int i, int j) {
    char last = Character.toLowerCase(a.charAt(i - 1));
    char other = Character.toLowerCase(b.charAt(j - 1));
    int best = Math.min(cost[i - 1][j], cost[i][j - 1]) + 1;
    best = Math.min(best, cost[i - 1][j - 1] + (last == other ? 0 : 1));
    boolean swapped =
        i > 1
            && j > 1
            && last == Character.toLowerCase(b.charAt(j - 2))
            && Character.toLowerCase(a.charAt(i - 2)) == other;
    return swapped ? Math.min(best, cost[i - 2][j - 2] + 1) : best;
  }
}
