package smelt.formats.source;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Objects;

/// A file whose bytes were made from another's, and which is unchanged as long as that one is.
final class MemoryByteSource implements ByteSource {

  private final ByteSource origin;
  private final MemorySegment bytes;

  /// @param origin closed with this one
  MemoryByteSource(ByteSource origin, byte[] bytes) {
    this.origin = origin;
    this.bytes = MemorySegment.ofArray(bytes).asReadOnly();
  }

  @Override
  public String name() {
    return origin.name();
  }

  @Override
  public long size() {
    return bytes.byteSize();
  }

  @Override
  public void read(long offset, MemorySegment into) {
    Objects.checkFromIndexSize(offset, into.byteSize(), bytes.byteSize());
    into.copyFrom(bytes.asSlice(offset, into.byteSize()));
  }

  @Override
  public void checkUnchanged() throws IOException {
    origin.checkUnchanged();
  }

  @Override
  public void close() throws IOException {
    origin.close();
  }
}
