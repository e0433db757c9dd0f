package smelt.converter;

import java.util.List;
import java.util.stream.Collectors;
import smelt.formats.Problem;

/// What ends a command for a reason that its user can do something about. Carries everything that
/// was found wrong, so that one run names all of it. `ExitCode` says what each subclass exits with.
public abstract class ProblemsException extends RuntimeException {

  private static final long serialVersionUID = 1;

  private final transient List<Problem> problems;

  /// @param problems at least one
  protected ProblemsException(List<Problem> problems) {
    super(problems.stream().map(Problem::toString).collect(Collectors.joining("\n")));
    if (problems.isEmpty()) {
      throw new IllegalArgumentException("no problem given");
    }
    this.problems = List.copyOf(problems);
  }

  public final List<Problem> problems() {
    return problems;
  }
}
