package smelt.formats.source;

import java.lang.foreign.MemorySegment;
import java.util.Objects;

/// A file in memory.
public record MemorySource(String name, MemorySegment bytes) implements ByteSource {

  public static MemorySource of(String name, byte[] bytes) {
    return new MemorySource(name, MemorySegment.ofArray(bytes));
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
  public void checkUnchanged() {}

  @Override
  public void close() {}
}
