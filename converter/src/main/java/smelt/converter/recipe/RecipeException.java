package smelt.converter.recipe;

import java.util.List;
import smelt.converter.ProblemsException;
import smelt.formats.Problem;

/// A recipe says something that cannot be done. Names every such place with its line.
public final class RecipeException extends ProblemsException {

  private static final long serialVersionUID = 1;

  public RecipeException(List<Problem> problems) {
    super(problems);
  }

  public RecipeException(String where, String found, String expected, String remedy) {
    this(List.of(new Problem(where, found, expected, remedy)));
  }
}
