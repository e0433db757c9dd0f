package smelt.converter.run;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;

/// A model to which something happens once, when so many bytes of it have been read.
final class ChangingSource implements ModelSource {

  /// What happens.
  interface Change {
    void make() throws IOException;
  }

  private final ModelSource model;
  private final Change change;
  private final AtomicLong left;

  ChangingSource(ModelSource model, long bytes, Change change) {
    this.model = model;
    this.left = new AtomicLong(bytes);
    this.change = change;
  }

  @Override
  public String location() {
    return model.location();
  }

  @Override
  public List<String> names() {
    return model.names();
  }

  @Override
  public ByteSource open(String name) throws IOException {
    return new Changing(model.open(name));
  }

  @Override
  public String stamp(String name) throws IOException {
    return model.stamp(name);
  }

  @Override
  public byte[] readSmall(String name, long limit) throws IOException {
    return model.readSmall(name, limit);
  }

  @Override
  public void close() throws IOException {
    model.close();
  }

  private final class Changing implements ByteSource {
    private final ByteSource file;

    Changing(ByteSource file) {
      this.file = file;
    }

    @Override
    public String name() {
      return file.name();
    }

    @Override
    public long size() {
      return file.size();
    }

    @Override
    public void read(long offset, MemorySegment into) throws IOException {
      file.read(offset, into);
      long after = left.addAndGet(-into.byteSize());
      if (after <= 0 && after + into.byteSize() > 0) {
        change.make();
      }
    }

    @Override
    public void checkUnchanged() throws IOException {
      file.checkUnchanged();
    }

    @Override
    public void close() throws IOException {
      file.close();
    }
  }
}
