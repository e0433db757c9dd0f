package smelt.converter.gguf;

import java.io.IOException;
import java.util.HashMap;
import java.util.Map;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;

/// The source's files, opened when they are first needed and open until the end.
final class OpenShards implements AutoCloseable {

  private final ModelSource source;
  private final Map<String, ByteSource> open = new HashMap<>();

  OpenShards(ModelSource source) {
    this.source = source;
  }

  ByteSource file(String name) throws IOException {
    ByteSource file = open.get(name);
    if (file == null) {
      file = source.open(name);
      open.put(name, file);
    }
    return file;
  }

  /// @throws smelt.formats.BadInputException if a file that was read was changed meanwhile
  void checkUnchanged() throws IOException {
    for (ByteSource file : open.values()) {
      file.checkUnchanged();
    }
  }

  @Override
  public void close() throws IOException {
    IOException failure = null;
    for (ByteSource file : open.values()) {
      try {
        file.close();
      } catch (IOException e) {
        if (failure == null) {
          failure = e;
        } else {
          failure.addSuppressed(e);
        }
      }
    }
    open.clear();
    if (failure != null) {
      throw failure;
    }
  }
}
