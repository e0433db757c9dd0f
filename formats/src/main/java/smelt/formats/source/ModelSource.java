package smelt.formats.source;

import java.io.IOException;
import java.util.List;

/// Where a model's files lie: a folder, a cache snapshot, or a plain archive of one.
///
/// Names are relative to the model's root, with `/` between folders, and never lead out of it.
public interface ModelSource extends AutoCloseable {

  /// What the user named, for messages.
  String location();

  /// Names of all regular files, sorted.
  List<String> names();

  /// Opens a file by its name. The caller closes it.
  ///
  /// @throws java.nio.file.NoSuchFileException if there is none
  ByteSource open(String name) throws IOException;

  /// What tells a file from a changed one under the same name, as it was when the model was opened:
  /// its size and modified time. In an archive, those of the archive.
  ///
  /// @throws java.nio.file.NoSuchFileException if there is no such file
  String stamp(String name) throws IOException;

  /// A small file's bytes.
  ///
  /// @throws smelt.formats.BadInputException if it is larger than `limit`
  byte[] readSmall(String name, long limit) throws IOException;

  @Override
  void close() throws IOException;
}
