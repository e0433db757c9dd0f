package smelt.converter.run;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import smelt.converter.plan.ShardLayout;
import smelt.converter.plan.TargetPlan;
import smelt.formats.files.AtomicFile;
import smelt.formats.files.AtomicFolder;

/// The root of a tree in a target's folder, as a run finds it.
final class TreeFolder {

  private TreeFolder() {}

  /// Names of the folders directly below the root that the plan will write.
  private static Set<String> planned(String root, TargetPlan target) {
    Set<String> names = new TreeSet<>();
    for (TargetPlan.Shard shard : target.shards()) {
      if (shard.layout() instanceof ShardLayout.Tree tree && shard.name().equals(root)) {
        names.addAll(tree.folders());
      }
    }
    return names;
  }

  /// Makes the root if need be, and removes what a killed run left of unfinished folders.
  ///
  /// @param folder the target's
  static void prepare(Path folder, String root, TargetPlan target) throws IOException {
    Path tree = folder.resolve(root);
    OutputFolder.makeFolder(tree);
    for (String name : planned(root, target)) {
      AtomicFolder.removePart(tree.resolve(name));
    }
    if (target.listing().isPresent()) {
      AtomicFile.removePart(folder.resolve(target.listing().get().name()));
    }
  }

  /// Paths of the files below the root that the plan does not name, from the target's folder on.
  /// Empty folders count as files.
  static List<String> strays(Path tree, String root, TargetPlan target) throws IOException {
    Set<String> known = new HashSet<>();
    for (TargetPlan.Shard shard : target.shards()) {
      shard.files().forEach(file -> known.add(file.name()));
    }
    target.listing().ifPresent(listing -> known.add(listing.name()));
    Set<String> folders = new HashSet<>(Set.of(root));
    for (String file : known) {
      for (int end = file.lastIndexOf('/'); end > 0; end = file.lastIndexOf('/', end - 1)) {
        if (!folders.add(file.substring(0, end))) {
          break;
        }
      }
    }
    try (Stream<Path> files = Files.walk(tree)) {
      return files
          .filter(file -> {
            String name = name(tree, root, file);
            return Files.isDirectory(file) ? !folders.contains(name) : !known.contains(name);
          })
          .map(file -> name(tree, root, file))
          .sorted()
          .toList();
    }
  }

  private static String name(Path tree, String root, Path file) {
    StringBuilder name = new StringBuilder(root);
    if (!file.equals(tree)) {
      tree.relativize(file).forEach(part -> name.append('/').append(part));
    }
    return name.toString();
  }
}
