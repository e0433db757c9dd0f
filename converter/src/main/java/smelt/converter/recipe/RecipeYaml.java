package smelt.converter.recipe;

import java.util.List;
import java.util.Locale;
import smelt.converter.gguf.GgufTypes;

/// Writes a recipe as YAML, one choice on a line, for people to read and `diff` to compare.
public final class RecipeYaml {

  private RecipeYaml() {}

  /// @param comments lines in front
  public static String of(Recipe recipe, List<String> comments) {
    StringBuilder text = new StringBuilder();
    comments.forEach(line -> text.append("# ").append(line).append('\n'));
    text.append("name: ").append(recipe.name()).append('\n');
    text.append("description: ").append(quoted(recipe.description())).append('\n');
    text.append("mtp: ").append(recipe.mtp().name().toLowerCase(Locale.ROOT)).append('\n');
    text.append("copy_code: ").append(recipe.copyCode()).append('\n');
    text.append("shard_size: ").append(recipe.shardSize()).append('\n');
    text.append("targets:\n");
    recipe.targets().forEach(target -> add(text, target));
    return text.toString();
  }

  private static void add(StringBuilder text, TargetSpec target) {
    text.append("  - target: ").append(target.target().label()).append('\n');
    switch (target.target().kind()) {
      case GGUF -> {
        GgufTypes types = target.gguf().types();
        text.append("    type: ").append(lower(types.linear().name())).append('\n');
        if (!types.rules().isEmpty()) {
          text.append("    types:\n");
          for (GgufTypes.Rule rule : types.rules()) {
            text.append("      ").append(quoted(rule.selector().text())).append(": ");
            text.append(lower(rule.type().name())).append('\n');
          }
        }
      }
      case CHECKPOINT -> {
        target
            .scales()
            .ifPresent(scales ->
                text.append("    scales: ")
                    .append(lower(scales.name()).replace("float", "f32"))
                    .append('\n'));
        add(text, "keep", target.keep());
        add(text, "quantize", target.quantize());
      }
      case EXPERTS -> throw new IllegalArgumentException(target.name() + " has no choice");
    }
    target.sharedWithCpu().ifPresent(n -> text.append("    numa: ").append(n).append('\n'));
    target
        .bounds()
        .ifPresent(bounds -> text.append("    bounds: ").append(bounds.json()).append('\n'));
  }

  private static void add(StringBuilder text, String key, List<Selector> selectors) {
    if (!selectors.isEmpty()) {
      text.append("    ").append(key).append(":\n");
      selectors.forEach(
          selector -> text.append("      - ").append(quoted(selector.text())).append('\n'));
    }
  }

  private static String lower(String name) {
    return name.toLowerCase(Locale.ROOT);
  }

  /// Single quotes, in which YAML reads a backslash as it stands.
  private static String quoted(String text) {
    return "'" + text.replace("'", "''") + "'";
  }
}
