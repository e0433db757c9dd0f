package smelt.converter.run;

import java.io.IOException;
import java.util.HashMap;
import java.util.Map;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;

/// The shards of the source that a run has open. Safe for use by several threads.
final class SourceFiles implements AutoCloseable {

  private final ModelSource model;
  private final Map<String, ByteSource> open = new HashMap<>();

  SourceFiles(ModelSource model) {
    this.model = model;
  }

  ModelSource model() {
    return model;
  }

  synchronized ByteSource file(String name) throws IOException {
    ByteSource file = open.get(name);
    if (file == null) {
      file = model.open(name);
      open.put(name, file);
    }
    return file;
  }

  @Override
  public synchronized void close() throws IOException {
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
