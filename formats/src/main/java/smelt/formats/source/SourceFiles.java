package smelt.formats.source;

import java.io.IOException;
import java.util.HashMap;
import java.util.Map;
import smelt.formats.files.Thorough;

/// The files of a model that are open: each from its first use until it is closed by name, or all
/// are. Safe for use by several threads.
public final class SourceFiles implements AutoCloseable {

  private final ModelSource model;
  private final Map<String, ByteSource> open = new HashMap<>();

  /// @param model stays open as long as this, and is closed by its owner
  public SourceFiles(ModelSource model) {
    this.model = model;
  }

  public ModelSource model() {
    return model;
  }

  /// A file, opened if it is not open yet. It is not for the caller to close.
  public synchronized ByteSource file(String name) throws IOException {
    ByteSource file = open.get(name);
    if (file == null) {
      file = model.open(name);
      open.put(name, file);
    }
    return file;
  }

  /// Closes a file that nobody reads any more; does nothing when it is not open.
  ///
  /// @throws smelt.formats.BadInputException if it was changed since it was opened
  public synchronized void done(String name) throws IOException {
    ByteSource file = open.remove(name);
    if (file != null) {
      try (file) {
        file.checkUnchanged();
      }
    }
  }

  /// @throws smelt.formats.BadInputException if a file that is open was changed meanwhile
  public synchronized void checkUnchanged() throws IOException {
    for (ByteSource file : open.values()) {
      file.checkUnchanged();
    }
  }

  /// Closes all files.
  @Override
  public synchronized void close() throws IOException {
    try {
      Thorough.forEach(open.values(), ByteSource::close);
    } finally {
      open.clear();
    }
  }
}
