package smelt.verify.tensors;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.Map;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.checkpoint.Weight;
import smelt.formats.source.ModelSource;
import smelt.formats.source.SourceFiles;

/// The shards of a model, each open from its first use to its last, so that few are open at once.
/// Any thread may read.
final class OpenFiles implements AutoCloseable {

  private final SourceFiles files;
  private final Map<String, Long> uses = new HashMap<>();

  OpenFiles(ModelSource model) {
    this.files = new SourceFiles(model);
  }

  /// Announces that a weight will be read, and then released.
  synchronized void expect(Weight weight) {
    uses.merge(weight.codes().file(), 1L, Long::sum);
    weight.scale().map(SourceTensor::file).ifPresent(file -> uses.merge(file, 1L, Long::sum));
  }

  /// @param into filled whole
  void read(String file, long offset, MemorySegment into) throws IOException {
    if (into.byteSize() > 0) {
      files.file(file).read(offset, into);
    }
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
      files.done(name);
    }
  }

  @Override
  public void close() throws IOException {
    files.close();
  }
}
