package smelt.converter;

import java.util.List;
import smelt.formats.Problem;

/// Refused before work began: too little disk or memory, or a device that is not there.
public final class RefusedException extends ProblemsException {

  private static final long serialVersionUID = 1;

  /// @param problems at least one
  public RefusedException(List<Problem> problems) {
    super(problems);
  }

  public RefusedException(String where, String found, String expected, String remedy) {
    this(List.of(new Problem(where, found, expected, remedy)));
  }
}
