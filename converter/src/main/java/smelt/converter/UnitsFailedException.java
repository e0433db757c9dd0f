package smelt.converter;

import java.util.List;
import smelt.formats.Problem;

/// Some units failed for good; the others are finished and keep their receipts.
public final class UnitsFailedException extends ProblemsException {

  private static final long serialVersionUID = 1;

  /// @param problems at least one
  public UnitsFailedException(List<Problem> problems) {
    super(problems);
  }

  public UnitsFailedException(String where, String found, String expected, String remedy) {
    this(List.of(new Problem(where, found, expected, remedy)));
  }
}
