package smelt.verify.tensors;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.Map;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.checkpoint.Weight;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;

/// The shards of a model, each open from its first use to its last, so that few are open at once.
/// Any thread may read.
final class OpenFiles implements AutoCloseable {

  private final ModelSource model;
  private final Map<String, ByteSource> open = new HashMap<>();
  private final Map<String, Long> uses = new HashMap<>();

  OpenFiles(ModelSource model) {
    this.model = model;
  }

  /// Announces that a weight will be read, and then released.
  synchronized void expect(Weight weight) {
    uses.merge(weight.codes().file(), 1L, Long::sum);
    weight.scale().map(SourceTensor::file).ifPresent(file -> uses.merge(file, 1L, Long::sum));
  }

  /// @param into filled whole
  void read(String file, long offset, MemorySegment into) throws IOException {
    if (into.byteSize() > 0) {
      file(file).read(offset, into);
    }
  }

  private synchronized ByteSource file(String name) throws IOException {
    ByteSource file = open.get(name);
    if (file == null) {
      file = model.open(name);
      open.put(name, file);
    }
    return file;
  }

  /// The weight was read, once for each time that it was expected.
  ///
  /// @throws smelt.formats.BadInputException if a file that is done was changed meanwhile
  void release(Weight weight) throws IOException {
    release(weight.codes().file());
    if (weight.scale().isPresent()) {
      release(weight.scale().get().file());
    }
  }

  private synchronized void release(String name) throws IOException {
    if (uses.merge(name, -1L, Long::sum) == 0) {
      ByteSource done = open.remove(name);
      if (done != null) {
        try (done) {
          done.checkUnchanged();
        }
      }
    }
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
