package smelt.formats.safetensors;

import java.util.ArrayList;
import java.util.List;
import smelt.formats.BadInputException;
import smelt.formats.Problem;

/// Collects what is wrong with one file, so that one run names all of it.
final class Findings {

  /// A hostile header could be wrong in a million places; a hundred are enough to act on.
  private static final int LIMIT = 100;

  private final String file;
  private final List<Problem> problems = new ArrayList<>();

  Findings(String file) {
    this.file = file;
  }

  /// Adds a problem of the file as a whole.
  ///
  /// @param offset byte of the file at which it shows
  void add(long offset, String found, String expected, String remedy) {
    addAt(file + ", byte " + offset, found, expected, remedy);
  }

  /// Adds a problem of one tensor.
  void add(String tensor, long offset, String found, String expected, String remedy) {
    addAt(file + ", tensor '" + shortened(tensor) + "', byte " + offset, found, expected, remedy);
  }

  private void addAt(String where, String found, String expected, String remedy) {
    problems.add(new Problem(where, found, expected, remedy));
    if (problems.size() >= LIMIT) {
      throwIfAny();
    }
  }

  void throwIfAny() {
    if (!problems.isEmpty()) {
      throw new BadInputException(problems);
    }
  }

  /// The first 200 characters of a text of any length.
  static String shortened(String text) {
    return text.length() <= 200 ? text : text.substring(0, 200) + "...";
  }
}
