package smelt.converter.cli;

import java.io.IOException;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;
import smelt.converter.recipe.Recipe;
import smelt.converter.recipe.Recipes;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// `smelt recipes`: the built-in recipes, or one in full; a recipe file is checked on the way.
@Command(
    name = "recipes",
    mixinStandardHelpOptions = true,
    description = "List the built-in recipes, or check and show one.")
public final class RecipesCommand implements Callable<Integer> {

  private final Terminal terminal;

  @Parameters(
      index = "0",
      arity = "0..1",
      paramLabel = "NAME",
      description = "A built-in recipe or a YAML file.")
  private String name;

  @Mixin private JsonOption json;

  public RecipesCommand(Terminal terminal) {
    this.terminal = terminal;
  }

  @Override
  public Integer call() throws IOException {
    if (name == null) {
      list();
    } else {
      show(Recipes.load(name));
    }
    return ExitCode.OK.code();
  }

  private void list() throws IOException {
    ArrayNode array = JsonNodeFactory.instance.arrayNode();
    for (String builtIn : Recipes.builtIn()) {
      Recipe recipe = Recipes.load(builtIn);
      if (json.wanted()) {
        array.add(withDigest(recipe));
      } else {
        terminal.answer(
            String.format(Locale.ROOT, "%-18s %s", recipe.name(), recipe.description()));
      }
    }
    if (json.wanted()) {
      json.answer(terminal, array);
    }
  }

  private void show(Recipe recipe) throws IOException {
    if (json.wanted()) {
      json.answer(terminal, withDigest(recipe));
    } else {
      terminal.answer(Recipes.yaml(name).stripTrailing());
      terminal.answer("# digest " + recipe.digest());
    }
  }

  private static ObjectNode withDigest(Recipe recipe) {
    return recipe.json().put("digest", recipe.digest());
  }
}
