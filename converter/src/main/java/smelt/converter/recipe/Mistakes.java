package smelt.converter.recipe;

import java.util.ArrayList;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import smelt.formats.Problem;

/// What is wrong with one recipe file, by line.
final class Mistakes {

  private final String file;
  private final SortedMap<Integer, List<Problem>> byLine = new TreeMap<>();

  /// @param file the file's name, for messages
  Mistakes(String file) {
    this.file = file;
  }

  void add(int line, String found, String expected, String remedy) {
    byLine
        .computeIfAbsent(line, _ -> new ArrayList<>())
        .add(new Problem(file + " line " + line, found, expected, remedy));
  }

  int count() {
    return byLine.values().stream().mapToInt(List::size).sum();
  }

  /// @throws RecipeException with all of them in the order of the file, if there are any
  void refuse() {
    if (!byLine.isEmpty()) {
      throw new RecipeException(byLine.values().stream().flatMap(List::stream).toList());
    }
  }
}
