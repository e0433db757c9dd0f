package smelt.formats.source;

import java.io.IOException;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/// Counts the bytes read from all files of a model and the files that are open, and fails when more
/// than a given number of bytes are asked for.
public final class CountingModelSource implements ModelSource {

  private final ModelSource model;
  private final long failAt;
  private final AtomicLong bytesRead = new AtomicLong();
  private final AtomicInteger opened = new AtomicInteger();

  public CountingModelSource(ModelSource model) {
    this(model, Long.MAX_VALUE);
  }

  /// A model whose disk breaks.
  ///
  /// @param failAt the read that would bring the count above this number fails
  public CountingModelSource(ModelSource model, long failAt) {
    this.model = model;
    this.failAt = failAt;
  }

  /// Bytes read from all files, whole reads of small files included.
  public long bytesRead() {
    return bytesRead.get();
  }

  /// How often a file was opened.
  public int opened() {
    return opened.get();
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
    opened.incrementAndGet();
    return new CountingByteSource(model.open(name), bytesRead, failAt);
  }

  @Override
  public String stamp(String name) throws IOException {
    return model.stamp(name);
  }

  @Override
  public byte[] readSmall(String name, long limit) throws IOException {
    byte[] bytes = model.readSmall(name, limit);
    if (bytesRead.addAndGet(bytes.length) > failAt) {
      throw new IOException(name + ": input/output error after " + failAt + " bytes");
    }
    return bytes;
  }

  @Override
  public void close() throws IOException {
    model.close();
  }
}
