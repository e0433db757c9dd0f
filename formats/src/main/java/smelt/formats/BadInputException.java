package smelt.formats;

import java.util.List;
import java.util.stream.Collectors;

/// A file is invalid or corrupt. Carries every problem that was found, so that one run names all.
public final class BadInputException extends RuntimeException {

  private static final long serialVersionUID = 1;
  private static final int SHOWN = 20;

  private final transient List<Problem> problems;

  /// @param problems at least one
  public BadInputException(List<Problem> problems) {
    super(message(problems));
    this.problems = List.copyOf(problems);
  }

  public BadInputException(String where, String found, String expected, String remedy) {
    this(List.of(new Problem(where, found, expected, remedy)));
  }

  public List<Problem> problems() {
    return problems;
  }

  private static String message(List<Problem> problems) {
    if (problems.isEmpty()) {
      throw new IllegalArgumentException("no problem given");
    }
    String shown =
        problems.stream().limit(SHOWN).map(Problem::toString).collect(Collectors.joining("\n"));
    int more = problems.size() - SHOWN;
    return more > 0 ? shown + "\n... and " + more + " more" : shown;
  }
}
