package smelt.converter.run;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import smelt.converter.OutputConflictException;
import smelt.converter.plan.Plan;
import smelt.converter.plan.ShardLayout;
import smelt.converter.plan.TargetPlan;

/// Looks at what lies in an output folder, changes nothing, and refuses what a run must not touch.
final class Occupancy {

  private static final int STRAYS_NAMED = 10;

  private Occupancy() {}

  /// A model that holds its own output would be another model the next time.
  static void refuseOverlap(Path output, Path model) throws IOException {
    Path source = model.toRealPath();
    Path result = real(output);
    if (result.equals(source) || result.startsWith(source) || source.startsWith(result)) {
      throw new OutputConflictException(
          output.toString(),
          result.equals(source)
              ? "the model's own folder"
              : result.startsWith(source)
                  ? "a folder inside the model " + model
                  : "a folder that holds the model " + model,
          "a folder beside the model",
          "choose another output");
    }
  }

  /// The real path of what may not exist yet.
  private static Path real(Path path) throws IOException {
    Path existing = path.toAbsolutePath();
    while (!Files.exists(existing)) {
      existing = existing.getParent();
    }
    return existing.toRealPath().resolve(existing.relativize(path.toAbsolutePath())).normalize();
  }

  /// Looks before anything is created: a folder without a sign of Smelt must be empty.
  static void refuseStrangers(Path path, Plan plan) throws IOException {
    if (Files.isSymbolicLink(path) && !Files.exists(path)) {
      throw new OutputConflictException(
          path.toString(), "a link that leads nowhere", "a folder, or nothing", "remove the link");
    }
    Path existing = path.toAbsolutePath();
    while (!Files.exists(existing)) {
      existing = existing.getParent();
    }
    if (!Files.isDirectory(existing)) {
      throw new OutputConflictException(
          existing.toString(), "a file", "a folder, or nothing", "choose another output");
    }
    if (!Files.exists(path)) {
      return;
    }
    Optional<String> first;
    try (Stream<Path> entries = Files.list(path)) {
      first = entries.map(e -> e.getFileName().toString()).sorted().findFirst();
    }
    // Looked for afterwards: another run may begin in this moment, and the lock says so better.
    boolean ours =
        Files.isDirectory(path.resolve(OutputFolder.WORK))
            || plan.targets().stream()
                .anyMatch(t -> Files.exists(path.resolve(t.folder()).resolve(TargetPlan.MANIFEST)));
    if (first.isPresent() && !ours) {
      throw new OutputConflictException(
          path.toString(),
          "files that are not of a conversion, such as " + first.get(),
          "an empty folder, or an unfinished conversion with the same plan",
          "choose another output, or empty this one yourself");
    }
  }

  /// Whether the folder holds the plan's whole output.
  ///
  /// @throws OutputConflictException if it holds another plan's
  static boolean isComplete(Path path, Plan plan, String planDigest) throws IOException {
    int manifests = 0;
    for (TargetPlan target : plan.targets()) {
      Path manifest = path.resolve(target.folder()).resolve(TargetPlan.MANIFEST);
      if (Files.exists(manifest)) {
        refuseOtherManifest(manifest, planDigest);
        manifests++;
      }
    }
    return manifests == plan.targets().size() && hasAllFiles(path, plan);
  }

  private static void refuseOtherManifest(Path manifest, String planDigest) throws IOException {
    String wanted = "\n\"plan\": \"" + planDigest + "\",\n";
    try (Stream<String> lines = Files.lines(manifest, StandardCharsets.UTF_8)) {
      if (lines.limit(10).noneMatch(line -> ("\n" + line + "\n").equals(wanted))) {
        throw otherPlan(manifest.getParent());
      }
    } catch (UncheckedIOException e) {
      throw otherPlan(manifest.getParent());
    }
  }

  static OutputConflictException otherPlan(Path folder) {
    return new OutputConflictException(
        folder.toString(),
        "the output of another plan (other source, recipe or version of Smelt)",
        "an empty folder, or the output of this plan",
        "choose another output, or remove this one yourself");
  }

  /// Whether every file of the plan but the manifests is there with its size.
  static boolean hasAllFiles(Path path, Plan plan) throws IOException {
    for (TargetPlan target : plan.targets()) {
      Path folder = path.resolve(target.folder());
      for (TargetPlan.Shard shard : target.shards()) {
        if (!hasAllFiles(folder, shard)) {
          return false;
        }
      }
      for (TargetPlan.SmallFile file : target.smallFiles()) {
        if (!hasSize(folder.resolve(file.name()), file.bytes().length)) {
          return false;
        }
      }
      if (target.listing().isPresent()) {
        TargetPlan.Listing listing = target.listing().get();
        if (!hasSize(folder.resolve(listing.name()), listing.bytes())) {
          return false;
        }
      }
    }
    return true;
  }

  /// Whether every file of a shard is in the target's folder with its size.
  static boolean hasAllFiles(Path folder, TargetPlan.Shard shard) throws IOException {
    for (ShardLayout.UnitFile file : shard.files()) {
      if (!hasSize(folder.resolve(file.name()), file.bytes())) {
        return false;
      }
    }
    return true;
  }

  static boolean hasSize(Path file, long size) throws IOException {
    return Files.isRegularFile(file) && Files.size(file) == size;
  }

  /// A file that the plan does not know would become part of the model.
  static void refuseStrays(Path folder, TargetPlan target) throws IOException {
    List<Path> paths = names(target).stream().map(Path::of).toList();
    Set<String> known = new HashSet<>();
    paths.forEach(path -> known.add(path.getName(0).toString()));
    known.add(OutputFolder.WORK);
    List<String> strays = new ArrayList<>(others(folder, known));
    for (Path inner : innerFolders(paths)) {
      if (Files.isDirectory(folder.resolve(inner))) {
        Set<String> own = new HashSet<>();
        paths.stream()
            .filter(path -> inner.equals(path.getParent()))
            .forEach(path -> own.add(path.getFileName().toString()));
        others(folder.resolve(inner), own).forEach(name -> strays.add(inner + "/" + name));
      }
    }
    for (String root : trees(target)) {
      strays.addAll(TreeFolder.strays(folder.resolve(root), root, target));
    }
    if (!strays.isEmpty()) {
      throw new OutputConflictException(
          folder.toString(),
          "files that are not of this conversion: " + named(strays),
          "only what the plan names",
          "move them away and run the same command again");
    }
  }

  private static Set<Path> innerFolders(List<Path> paths) {
    return paths.stream()
        .filter(path -> path.getNameCount() > 1)
        .map(Path::getParent)
        .collect(Collectors.toCollection(TreeSet::new));
  }

  private static String named(List<String> strays) {
    String first = String.join(", ", strays.subList(0, Math.min(STRAYS_NAMED, strays.size())));
    return strays.size() > STRAYS_NAMED
        ? first + " and " + (strays.size() - STRAYS_NAMED) + " more"
        : first;
  }

  private static List<String> others(Path folder, Set<String> known) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files
          .map(f -> f.getFileName().toString())
          .filter(n -> !known.contains(n))
          .sorted()
          .toList();
    }
  }

  /// Names of the folders in a target's folder that hold trees.
  static Set<String> trees(TargetPlan target) {
    return target.shards().stream()
        .filter(shard -> shard.layout() instanceof ShardLayout.Tree)
        .map(TargetPlan.Shard::name)
        .collect(Collectors.toCollection(TreeSet::new));
  }

  /// Paths within a target's folder of what lies in it: files, and the folders that hold trees.
  static List<String> names(TargetPlan target) {
    return Stream.of(
            target.shards().stream().map(TargetPlan.Shard::name),
            target.smallFiles().stream().map(TargetPlan.SmallFile::name),
            Stream.of(TargetPlan.MANIFEST))
        .flatMap(names -> names)
        .distinct()
        .toList();
  }
}
