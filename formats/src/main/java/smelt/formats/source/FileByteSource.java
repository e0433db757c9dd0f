package smelt.formats.source;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.FileChannel;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Objects;
import java.util.Set;

/// A range of a file, read by position. Files are read and not mapped: a file that shrinks under a
/// mapping would stop the whole program.
///
/// A segment must be native or lie on a `byte[]`. Interrupting a thread in [#read] closes the file
/// for all threads, as with every file channel.
final class FileByteSource implements ByteSource {

  /// The JDK copies reads into the heap through a buffer of their size that it keeps for the
  /// thread.
  private static final long HEAP_CHUNK = 1 << 20;

  private static final long NATIVE_CHUNK = 1 << 30;

  private final String name;
  private final Path path;
  private final FileStamp stamp;
  private final long base;
  private final long size;
  private final FileChannel channel;

  FileByteSource(
      String name, Path path, FileStamp stamp, long base, long size, FileChannel channel) {
    this.name = name;
    this.path = path;
    this.stamp = stamp;
    this.base = base;
    this.size = size;
    this.channel = channel;
  }

  /// Opens a whole file, which must not be a symbolic link.
  static FileByteSource open(String name, Path path) throws IOException {
    FileStamp stamp = FileStamp.of(path);
    return open(name, path, stamp, 0, stamp.size());
  }

  /// Opens the `size` bytes from `base` on of a file that must still be as `stamp` says.
  static FileByteSource open(String name, Path path, FileStamp stamp, long base, long size)
      throws IOException {
    Objects.checkFromIndexSize(base, size, stamp.size());
    FileChannel channel =
        FileChannel.open(path, Set.of(StandardOpenOption.READ, LinkOption.NOFOLLOW_LINKS));
    FileByteSource source = new FileByteSource(name, path, stamp, base, size, channel);
    try {
      source.checkUnchanged();
    } catch (IOException | RuntimeException e) {
      channel.close();
      throw e;
    }
    return source;
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public long size() {
    return size;
  }

  @Override
  public void read(long offset, MemorySegment into) throws IOException {
    Objects.checkFromIndexSize(offset, into.byteSize(), size);
    long chunk = into.isNative() ? NATIVE_CHUNK : HEAP_CHUNK;
    for (long done = 0; done < into.byteSize(); done += chunk) {
      long length = Math.min(chunk, into.byteSize() - done);
      fill(base + offset + done, into.asSlice(done, length).asByteBuffer());
    }
  }

  private void fill(long position, ByteBuffer buffer) throws IOException {
    long at = position;
    while (buffer.hasRemaining()) {
      int count = readSome(buffer, at);
      if (count < 0) {
        throw FileStamp.changed(
            name, "a file that ends at byte " + (at - base) + ": changed while reading");
      }
      at += count;
    }
  }

  private int readSome(ByteBuffer buffer, long at) throws IOException {
    try {
      return channel.read(buffer, at);
    } catch (ClosedChannelException e) {
      throw e;
    } catch (IOException e) {
      throw new IOException(name + ", byte " + (at - base) + ": " + e.getMessage(), e);
    }
  }

  @Override
  public void checkUnchanged() throws IOException {
    stamp.checkStill(path, name);
    if (channel.size() != stamp.size()) {
      throw FileStamp.changed(name, "a file that was changed while reading");
    }
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
