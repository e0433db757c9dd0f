package smelt.converter.choose;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import smelt.calibrate.sensitivity.ModelPart;
import smelt.converter.recipe.Selector;
import smelt.formats.checkpoint.Weight;

/// Selectors that pick exactly the weights of a part.
final class PartNames {

  private static final Pattern EXPERT = Pattern.compile("\\.experts\\.[0-9]+\\.");

  private PartNames() {}

  /// One for each name but for the numbers of experts, which all are in the part.
  static List<Selector> selectors(ModelPart part) {
    Map<String, Selector> selectors = new LinkedHashMap<>();
    for (Weight weight : part.weights()) {
      String dots = EXPERT.matcher(weight.name()).replaceFirst(".experts.#.").replace(".", "\\.");
      String regex = dots.replace("#", "[0-9]+") + "$";
      selectors.computeIfAbsent(regex, r -> new Selector.Pattern(Pattern.compile(r)));
    }
    return List.copyOf(selectors.values());
  }
}
