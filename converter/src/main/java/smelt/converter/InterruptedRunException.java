package smelt.converter;

import java.util.List;
import smelt.formats.Problem;

/// Stopped by the user or the system; running the same command again goes on from here.
public final class InterruptedRunException extends ProblemsException {

  private static final long serialVersionUID = 1;

  /// @param problems at least one
  public InterruptedRunException(List<Problem> problems) {
    super(problems);
  }

  public InterruptedRunException(String where, String found, String expected, String remedy) {
    this(List.of(new Problem(where, found, expected, remedy)));
  }
}
