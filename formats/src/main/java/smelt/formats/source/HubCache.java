package smelt.formats.source;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.Optional;
import java.util.regex.Pattern;

/// The one place that links may lead to: the blobs of a Hugging Face cache.
///
/// ```
/// models--ORG--NAME/blobs/HEX                       the files, named by their digest
/// models--ORG--NAME/snapshots/COMMIT/PATH           links to ../../blobs/HEX
/// ```
///
/// @param blobs real path of the folder of blobs
record HubCache(Path blobs) {

  private static final Pattern BLOB = Pattern.compile("[0-9a-f]{40,64}");

  /// The cache that a folder is a snapshot of, or lies in a snapshot of.
  ///
  /// @param folder a real path
  static Optional<HubCache> around(Path folder) {
    for (Path p = folder; p.getParent() != null; p = p.getParent()) {
      Path above = p.getParent();
      Path blobs = above.resolveSibling("blobs");
      if (above.endsWith("snapshots") && Files.isDirectory(blobs, LinkOption.NOFOLLOW_LINKS)) {
        return Optional.of(new HubCache(blobs));
      }
    }
    return Optional.empty();
  }

  /// The blob that a link leads to; empty when it leads anywhere else.
  ///
  /// @param link a path without links in its folders
  Optional<Path> target(Path link) throws IOException {
    Path target = link.resolveSibling(Files.readSymbolicLink(link)).normalize();
    boolean blob =
        blobs.equals(target.getParent())
            && BLOB.matcher(target.getFileName().toString()).matches()
            && Files.isRegularFile(target, LinkOption.NOFOLLOW_LINKS);
    return blob ? Optional.of(target) : Optional.empty();
  }
}
