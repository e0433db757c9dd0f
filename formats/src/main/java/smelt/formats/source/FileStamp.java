package smelt.formats.source;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.util.Objects;
import smelt.formats.BadInputException;

/// What tells that a file is still the one that was opened: its size, its modified time, and where
/// the file system knows one, its identity (on Unix the inode).
record FileStamp(long size, FileTime modified, String key) {

  static FileStamp of(Path file) throws IOException {
    return of(
        file, Files.readAttributes(file, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS));
  }

  /// @param now attributes of the file itself, not of what a link leads to
  static FileStamp of(Path file, BasicFileAttributes now) {
    if (!now.isRegularFile()) {
      throw new BadInputException(
          file.toString(),
          now.isSymbolicLink() ? "a symbolic link" : "no regular file",
          "a regular file",
          "replace it by a copy of the file");
    }
    return new FileStamp(now.size(), now.lastModifiedTime(), Objects.toString(now.fileKey(), ""));
  }

  /// @param name the file's name for messages
  void checkStill(Path file, String name) throws IOException {
    FileStamp now = of(file);
    if (!now.equals(this)) {
      throw changed(name, "a file that was changed while reading (" + difference(now) + ")");
    }
  }

  /// The stamp as receipts hold it: without the identity, which does not outlast a copy or a
  /// restart of the system.
  String text() {
    return size + " bytes, modified " + modified;
  }

  private String difference(FileStamp now) {
    if (size != now.size) {
      return "size " + size + ", now " + now.size;
    }
    return key.equals(now.key) ? "modified meanwhile" : "another file under the same name";
  }

  static BadInputException changed(String name, String found) {
    return new BadInputException(
        name,
        found,
        "the file as it was when it was opened",
        "run again when nothing writes to it");
  }
}
