package smelt.formats.source;

import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import smelt.formats.BadInputException;
import smelt.formats.Problem;

/// A folder of files. A symbolic link is refused, unless the folder is a snapshot of a Hugging Face
/// cache and the link leads to one of that cache's blobs. Every file must stay as it was when the
/// folder was listed.
final class FolderSource implements ModelSource {

  private final Path location;
  private final SortedMap<String, Listed> files;

  /// A file as it was found.
  private record Listed(Path path, FileStamp stamp) {}

  private FolderSource(Path location, SortedMap<String, Listed> files) {
    this.location = location;
    this.files = files;
  }

  static FolderSource open(Path folder) throws IOException {
    Path root = folder.toRealPath();
    Lister lister = new Lister(root, HubCache.around(root));
    Files.walkFileTree(root, lister);
    if (!lister.problems.isEmpty()) {
      throw new BadInputException(lister.problems);
    }
    return new FolderSource(folder, lister.files);
  }

  /// Some of the files of a folder.
  ///
  /// @param location what the user named
  static FolderSource of(Path location, Path folder, List<String> names) throws IOException {
    Path root = folder.toRealPath();
    Lister lister = new Lister(root, HubCache.around(root));
    for (String name : names) {
      Path file = root.resolve(name);
      lister.visitFile(
          file, Files.readAttributes(file, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS));
    }
    if (!lister.problems.isEmpty()) {
      throw new BadInputException(lister.problems);
    }
    return new FolderSource(location, lister.files);
  }

  private static final class Lister extends SimpleFileVisitor<Path> {

    private final Path root;
    private final Optional<HubCache> cache;
    private final SortedMap<String, Listed> files = new TreeMap<>();
    private final List<Problem> problems = new ArrayList<>();

    Lister(Path root, Optional<HubCache> cache) {
      this.root = root;
      this.cache = cache;
    }

    @Override
    public FileVisitResult preVisitDirectory(Path folder, BasicFileAttributes attributes) {
      boolean hidden = !folder.equals(root) && folder.getFileName().toString().startsWith(".");
      return hidden ? FileVisitResult.SKIP_SUBTREE : FileVisitResult.CONTINUE;
    }

    @Override
    public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
      if (attributes.isRegularFile()) {
        files.put(name(file), new Listed(file, FileStamp.of(file, attributes)));
      } else if (attributes.isSymbolicLink()) {
        link(file);
      } else {
        refuse(file, "neither a file nor a folder", "remove it from the model's folder");
      }
      return FileVisitResult.CONTINUE;
    }

    private void link(Path link) throws IOException {
      Optional<Path> blob = cache.isPresent() ? cache.get().target(link) : Optional.empty();
      if (blob.isPresent()) {
        files.put(name(link), new Listed(blob.get(), FileStamp.of(blob.get())));
      } else {
        String found = "a symbolic link to " + Files.readSymbolicLink(link);
        String remedy =
            cache.isPresent()
                ? "download the model again: links may only lead to the cache's own blobs"
                : "replace the link by a copy of the file";
        refuse(link, found, remedy);
      }
    }

    private void refuse(Path file, String found, String remedy) {
      problems.add(new Problem(file.toString(), found, "a regular file", remedy));
    }

    private String name(Path file) {
      StringBuilder name = new StringBuilder();
      for (Path part : root.relativize(file)) {
        name.append(name.isEmpty() ? "" : "/").append(part);
      }
      return name.toString();
    }
  }

  @Override
  public String location() {
    return location.toString();
  }

  @Override
  public List<String> names() {
    return List.copyOf(files.keySet());
  }

  @Override
  public ByteSource open(String name) throws IOException {
    Listed file = file(name);
    return FileByteSource.open(name, file.path(), file.stamp(), 0, file.stamp().size());
  }

  @Override
  public String stamp(String name) throws IOException {
    return file(name).stamp().text();
  }

  private Listed file(String name) throws IOException {
    Listed file = files.get(name);
    if (file == null) {
      throw new NoSuchFileException(location + ": " + name);
    }
    return file;
  }

  @Override
  public byte[] readSmall(String name, long limit) throws IOException {
    try (ByteSource file = open(name)) {
      return WholeFile.read(file, limit);
    }
  }

  @Override
  public void close() {}
}
