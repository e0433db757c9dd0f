package smelt.formats.source;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicLong;

/// Counts the bytes read from a source, and fails when more than a given number are asked for.
public final class CountingByteSource implements ByteSource {

  private final ByteSource source;
  private final AtomicLong bytesRead;
  private final long failAt;

  public CountingByteSource(ByteSource source) {
    this(source, Long.MAX_VALUE);
  }

  /// A source that breaks.
  ///
  /// @param failAt the read that would bring the count above this number fails
  public CountingByteSource(ByteSource source, long failAt) {
    this(source, new AtomicLong(), failAt);
  }

  CountingByteSource(ByteSource source, AtomicLong bytesRead, long failAt) {
    this.source = source;
    this.bytesRead = bytesRead;
    this.failAt = failAt;
  }

  public long bytesRead() {
    return bytesRead.get();
  }

  @Override
  public String name() {
    return source.name();
  }

  @Override
  public long size() {
    return source.size();
  }

  @Override
  public void read(long offset, MemorySegment into) throws IOException {
    if (bytesRead.addAndGet(into.byteSize()) > failAt) {
      throw new IOException(name() + ": input/output error after " + failAt + " bytes");
    }
    source.read(offset, into);
  }

  @Override
  public void checkUnchanged() throws IOException {
    source.checkUnchanged();
  }

  @Override
  public void close() throws IOException {
    source.close();
  }
}
