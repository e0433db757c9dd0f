package smelt.converter;

import java.util.List;
import smelt.formats.Problem;

/// The output folder is locked by another run, or holds the work of another plan.
public final class OutputConflictException extends ProblemsException {

  private static final long serialVersionUID = 1;

  /// @param problems at least one
  public OutputConflictException(List<Problem> problems) {
    super(problems);
  }

  public OutputConflictException(String where, String found, String expected, String remedy) {
    this(List.of(new Problem(where, found, expected, remedy)));
  }
}
