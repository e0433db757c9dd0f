package smelt.converter.run;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Collections;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import smelt.converter.plan.Plan;
import smelt.converter.plan.Planner;
import smelt.converter.progress.Progress;
import smelt.converter.recipe.MtpPolicy;
import smelt.converter.recipe.Recipe;
import smelt.converter.recipe.TargetSpec;
import smelt.converter.target.Target;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.codec.KernelSet;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// A whole conversion inside the test's own process.
public final class Converting {

  /// Small enough that the samples make several shards.
  public static final long SMALL_SHARDS = 3 << 20;

  private final Recipe recipe;
  private int threads = 2;
  private String kernels = "auto";
  private Long shuffle;
  private StopSignal stop = new StopSignal();

  private Converting(Recipe recipe) {
    this.recipe = recipe;
  }

  public static Converting to(Target... targets) {
    return with(recipe(targets));
  }

  public static Converting with(Recipe recipe) {
    return new Converting(recipe);
  }

  public static Recipe recipe(Target... targets) {
    return new Recipe(
        "test",
        "",
        Stream.of(targets).map(TargetSpec::of).toList(),
        MtpPolicy.KEEP,
        false,
        SMALL_SHARDS);
  }

  public Converting threads(int count) {
    threads = count;
    return this;
  }

  public Converting kernels(String name) {
    kernels = name;
    return this;
  }

  /// Does the units in another order.
  public Converting shuffled(long seed) {
    shuffle = seed;
    return this;
  }

  public Converting stop(StopSignal signal) {
    stop = signal;
    return this;
  }

  public Plan plan(Path model) throws IOException {
    try (ModelSource source = ModelSources.open(model)) {
      return Planner.plan(source, Checkpoint.open(source), recipe);
    }
  }

  public Conversion.Result run(Path model, Path out) throws IOException, InterruptedException {
    try (ModelSource source = ModelSources.open(model)) {
      return run(source, out);
    }
  }

  public Conversion.Result run(ModelSource source, Path out)
      throws IOException, InterruptedException {
    Plan plan = Planner.plan(source, Checkpoint.open(source), recipe);
    MemoryPlan memory = MemoryPlan.of(plan, threads, OptionalLong.empty());
    List<Integer> order =
        new java.util.ArrayList<>(IntStream.range(0, plan.units().size()).boxed().toList());
    if (shuffle != null) {
      Collections.shuffle(order, new Random(shuffle));
    }
    try (OutputFolder folder = OutputFolder.open(out, plan, source)) {
      Conversion.Result result =
          Conversion.run(
              source,
              plan,
              folder,
              KernelSet.choose(kernels),
              memory,
              stop,
              Progress.silent(),
              order);
      folder.publish();
      return result;
    }
  }

  /// SHA-256 of every file below a folder, by relative name.
  public static Map<String, String> digests(Path folder) throws IOException {
    Map<String, String> digests = new TreeMap<>();
    try (Stream<Path> files = Files.walk(folder)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        digests.put(
            folder.relativize(file).toString().replace('\\', '/'),
            sha256(Files.readAllBytes(file)));
      }
    }
    return digests;
  }

  private static String sha256(byte[] bytes) {
    try {
      return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError(e);
    }
  }

  /// Names of the files below a folder.
  public static List<String> names(Path folder) {
    try {
      return List.copyOf(digests(folder).keySet());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
