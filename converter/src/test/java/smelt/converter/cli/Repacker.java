package smelt.converter.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import smelt.converter.Program;
import smelt.converter.SampleModel;
import smelt.converter.recipe.Recipes;
import smelt.converter.run.Converting;
import smelt.formats.files.Sha256;

/// Runs `convert`, `repack` and `diff` on the sample in a folder of a test.
record Repacker(Path folder) {

  static final String SAMPLE = SampleModel.path(SampleModel.FP8).toString();

  String path(String name) {
    return folder.resolve(name).toString();
  }

  /// Converts the sample with one target, written as in a recipe.
  void convert(String target, String out) throws Exception {
    Path recipe = folder.resolve(out + ".yaml");
    Files.writeString(
        recipe, "name: test\nmtp: keep\nshard_size: 3MiB\ntargets:\n  - " + target + "\n");
    Converting.with(Recipes.load(recipe.toString())).run(Path.of(SAMPLE), folder.resolve(out));
  }

  /// Repacks, with files as small as those of [#convert].
  String repack(String in, String out, String... options) {
    List<String> args = new ArrayList<>(List.of("repack", path(in), "-q", "-o", path(out)));
    args.addAll(List.of(options));
    if (!args.contains("--merge") && !args.contains("--shard-size")) {
      args.addAll(List.of("--shard-size", "3MiB"));
    }
    String said = done(args.toArray(String[]::new));
    if (!isGguf(out)) {
      Program.Result check = Program.run("check", path(out));
      assertThat(check.exit()).as(check.out() + check.err()).isZero();
    }
    return said;
  }

  /// Made-up GGUF models have metadata that no engine would take.
  private boolean isGguf(String name) {
    String[] files = Path.of(path(name)).toFile().list();
    return files == null || Stream.of(files).anyMatch(file -> file.endsWith(".gguf"));
  }

  private static String done(String... args) {
    Program.Result result = Program.run(args);
    assertThat(result.exit()).as(result.err()).isZero();
    return result.out();
  }

  /// Files with numbers and their digests, by their names.
  Map<String, String> weights(String name) throws IOException {
    Map<String, String> digests = new TreeMap<>();
    Path root = folder.resolve(name);
    try (Stream<Path> files = Files.walk(root)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        if (file.toString().matches(".*[.](safetensors|kt|gguf)")) {
          digests.put(root.relativize(file).toString(), Sha256.hex(Files.readAllBytes(file)));
        }
      }
    }
    assertThat(digests).isNotEmpty();
    return digests;
  }

  /// Bytes of all files of a folder.
  long bytes(String name) throws IOException {
    try (Stream<Path> files = Files.walk(folder.resolve(name))) {
      return files.filter(Files::isRegularFile).mapToLong(file -> file.toFile().length()).sum();
    }
  }

  /// What `diff` ends with.
  int diff(String a, String b, String... options) {
    List<String> args = new ArrayList<>(List.of("diff", path(a), path(b), "-q"));
    args.addAll(List.of(options));
    return Program.run(args.toArray(String[]::new)).exit();
  }
}
