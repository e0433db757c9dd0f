package smelt.converter.recipe;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import smelt.converter.DidYouMean;
import smelt.converter.target.Target;

/// Finds recipes: the built-in ones by name, others by their file.
public final class Recipes {

  private static final int LARGEST = 1 << 20;

  /// Built-in recipes that make more than one target, or one with choices of its own.
  private static final List<String> SEVERAL_TARGETS =
      List.of(
          "ascend-w8a8-static",
          "gpu-int8-and-fp8",
          "int8-smooth",
          "kt-amx-int4-gptq",
          "ktransformers-fp8",
          "ktransformers-int4",
          "ktransformers-int8",
          "ktransformers-rawint4",
          "llamacpp-q4",
          "llamacpp-q4-importance",
          "llamacpp-q8");

  private Recipes() {}

  /// The names of the built-in recipes: one for each target, then those for several.
  public static List<String> builtIn() {
    List<String> names = new ArrayList<>(Stream.of(Target.values()).map(Target::label).toList());
    names.addAll(SEVERAL_TARGETS);
    return List.copyOf(names);
  }

  /// A built-in recipe, or one from a YAML file. A file called like a built-in recipe is reached
  /// with a path such as `./int8-channel`.
  ///
  /// @throws RecipeException if there is none, or what is wrong with it
  /// @throws IOException if the file cannot be read
  public static Recipe load(String nameOrFile) throws IOException {
    String where = builtIn().contains(nameOrFile) ? "built-in recipe " + nameOrFile : nameOrFile;
    return RecipeReader.read(where, yaml(nameOrFile));
  }

  /// The YAML of a recipe as it is written, comments and mistakes included.
  ///
  /// @throws RecipeException if there is no such recipe
  /// @throws IOException if the file cannot be read
  public static String yaml(String nameOrFile) throws IOException {
    if (builtIn().contains(nameOrFile)) {
      return builtInYaml(nameOrFile);
    }
    Path file = path(nameOrFile);
    if (Files.isDirectory(file)) {
      throw new RecipeException(
          nameOrFile, "a folder", "a recipe file", "name the YAML file inside it");
    }
    try (InputStream in = Files.newInputStream(file)) {
      return decode(nameOrFile, in.readNBytes(LARGEST + 1));
    } catch (NoSuchFileException _) {
      throw missing(nameOrFile);
    }
  }

  private static String builtInYaml(String name) throws IOException {
    try (InputStream in = Recipes.class.getResourceAsStream("/smelt/recipes/" + name + ".yaml")) {
      if (in == null) {
        throw new IllegalStateException("the program was built without its recipe " + name);
      }
      return decode(name, in.readAllBytes());
    }
  }

  private static Path path(String text) {
    try {
      return Path.of(text);
    } catch (InvalidPathException _) {
      throw missing(text);
    }
  }

  private static String decode(String where, byte[] bytes) {
    if (bytes.length > LARGEST) {
      throw new RecipeException(
          where, "more than " + LARGEST + " bytes", "a recipe", "name a recipe file");
    }
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
    } catch (CharacterCodingException _) {
      throw new RecipeException(
          where, "bytes that are not UTF-8", "a YAML file in UTF-8", "name a recipe file");
    }
  }

  private static RecipeException missing(String nameOrFile) {
    return new RecipeException(
        "recipe '" + nameOrFile + "'",
        "neither a built-in recipe nor a file",
        "one of " + String.join(", ", builtIn()) + ", or a YAML file",
        DidYouMean.remedy(nameOrFile, builtIn(), "see 'smelt recipes'"));
  }
}
