package smelt.formats.files;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicLong;

/// A file of known size that appears under its name when it is complete, and not before.
///
/// Bytes go to `.NAME.part` beside the target, a name that no loader looks for. [#commit] forces
/// them to the disk and renames; [#close] without a commit removes them. A killed process leaves
/// the `.part` file behind, and the next one with the same target replaces it. What the target held
/// before stays there, whole, until the rename.
///
/// Writes may come from several threads, in any order, each byte once. Interrupting a thread that
/// writes closes the file for all of them, as with every file channel.
public final class AtomicFile implements AutoCloseable {

  /// How a file is opened; tests put one here that fails.
  interface Opener {
    FileChannel open(Path file) throws IOException;
  }

  private enum State {
    OPEN,
    COMMITTED,
    DISCARDED
  }

  /// The JDK copies heap bytes through a buffer of their size that it keeps for the thread.
  private static final long HEAP_CHUNK = 1 << 20;

  private static final long NATIVE_CHUNK = 1 << 30;
  private static final int OUTPUT_CHUNK = 1 << 16;

  private final Path target;
  private final Path part;
  private final long size;
  private final FileChannel channel;
  private final AtomicLong written = new AtomicLong();
  private volatile State state = State.OPEN;

  private AtomicFile(Path target, Path part, long size, FileChannel channel) {
    this.target = target;
    this.part = part;
    this.size = size;
    this.channel = channel;
  }

  /// Starts a file. Its folder must exist.
  ///
  /// The length is set at once, so a size that the file system cannot hold shows here. Blocks are
  /// taken only as bytes are written (the JDK has no call that reserves them): a disk that others
  /// fill meanwhile shows in [#write].
  ///
  /// @param size the file's final size in bytes
  public static AtomicFile create(Path target, long size) throws IOException {
    return create(target, size, AtomicFile::openNew);
  }

  static AtomicFile create(Path target, long size, Opener opener) throws IOException {
    if (size < 0) {
      throw new IllegalArgumentException("a file of " + size + " bytes");
    }
    Path part = part(target);
    Files.deleteIfExists(part);
    AtomicFile file = new AtomicFile(target, part, size, opener.open(part));
    try {
      file.setLength();
    } catch (IOException | RuntimeException e) {
      file.discardAfter(e);
      throw e;
    }
    return file;
  }

  private static Path part(Path target) {
    return target.resolveSibling("." + target.getFileName() + ".part");
  }

  /// Removes what a killed process left of a target, if anything.
  public static void removePart(Path target) throws IOException {
    Files.deleteIfExists(part(target));
  }

  /// Opens a file for reading by its final name, whether it is complete or still being written.
  /// What was written is read; what was not is zeros. It stays open when the file is completed
  /// meanwhile. The caller closes it.
  ///
  /// @throws java.nio.file.NoSuchFileException if it was not begun
  public static FileChannel openAsItIs(Path target) throws IOException {
    try {
      return FileChannel.open(part(target), StandardOpenOption.READ);
    } catch (NoSuchFileException _) {
      return FileChannel.open(target, StandardOpenOption.READ);
    }
  }

  private static FileChannel openNew(Path file) throws IOException {
    return FileChannel.open(
        file, StandardOpenOption.CREATE_NEW, StandardOpenOption.READ, StandardOpenOption.WRITE);
  }

  private void setLength() throws IOException {
    if (size > 0) {
      fill(size - 1, ByteBuffer.allocate(1));
    }
  }

  /// Where the file will appear.
  public Path target() {
    return target;
  }

  /// The file's final size in bytes.
  public long size() {
    return size;
  }

  /// Writes all of a segment, which must be native or lie on a `byte[]`.
  ///
  /// After a failure the file can only be discarded.
  ///
  /// @param offset first byte in the file
  /// @throws IndexOutOfBoundsException if the range does not lie inside the planned size
  public void write(long offset, MemorySegment from) throws IOException {
    requireOpen();
    Objects.checkFromIndexSize(offset, from.byteSize(), size);
    long chunk = chunk(from);
    for (long done = 0; done < from.byteSize(); done += chunk) {
      long length = Math.min(chunk, from.byteSize() - done);
      fill(offset + done, from.asSlice(done, length).asByteBuffer());
    }
    written.addAndGet(from.byteSize());
  }

  /// Writes from the first byte on, one after the other. For one thread; flush it before [#commit].
  /// Closing it does not close the file.
  public OutputStream output() {
    return new BufferedOutputStream(new Output(), OUTPUT_CHUNK);
  }

  private final class Output extends OutputStream {
    private long at;

    @Override
    public void write(int b) throws IOException {
      write(new byte[] {(byte) b}, 0, 1);
    }

    @Override
    public void write(byte[] bytes, int offset, int length) throws IOException {
      AtomicFile.this.write(at, MemorySegment.ofArray(bytes).asSlice(offset, length));
      at += length;
    }
  }

  /// Bytes of a segment that are given to the system at once.
  static long chunk(MemorySegment from) {
    return from.isNative() ? NATIVE_CHUNK : HEAP_CHUNK;
  }

  private void fill(long offset, ByteBuffer from) throws IOException {
    long at = offset;
    try {
      while (from.hasRemaining()) {
        at += channel.write(from, at);
      }
    } catch (IOException e) {
      throw named("writing at byte " + at, e);
    }
  }

  /// The system's errors on an open file do not say which file.
  private IOException named(String doing, IOException e) {
    return e instanceof ClosedChannelException || e instanceof FileSystemException
        ? e
        : new IOException(target + ", " + doing + ": " + e.getMessage(), e);
  }

  /// Forces to the disk what was written so far.
  public void force() throws IOException {
    requireOpen();
    try {
      channel.force(false);
    } catch (IOException e) {
      throw named("forcing it to the disk", e);
    }
  }

  /// Reads back what was written.
  ///
  /// @param offset first byte in the file
  /// @param into filled whole
  public void read(long offset, MemorySegment into) throws IOException {
    requireOpen();
    Objects.checkFromIndexSize(offset, into.byteSize(), size);
    for (long done = 0; done < into.byteSize(); done += NATIVE_CHUNK) {
      long length = Math.min(NATIVE_CHUNK, into.byteSize() - done);
      ByteBuffer buffer = into.asSlice(done, length).asByteBuffer();
      while (buffer.hasRemaining()) {
        readSome(buffer, offset + done + buffer.position());
      }
    }
  }

  private void readSome(ByteBuffer buffer, long at) throws IOException {
    int count;
    try {
      count = channel.read(buffer, at);
    } catch (IOException e) {
      throw named("reading back at byte " + at, e);
    }
    if (count < 0) {
      throw new IOException(target + ": the file ends at " + at);
    }
  }

  /// Makes the file appear: forces its bytes to the disk, checks its size, renames it, and forces
  /// the folder. When it returns, the file outlasts a power failure.
  ///
  /// @throws IllegalStateException if not every byte was written once
  public void commit() throws IOException {
    requireOpen();
    try {
      if (written.get() != size) {
        throw new IllegalStateException(
            target + ": " + written.get() + " bytes were written of the planned " + size);
      }
      channel.force(true);
      if (channel.size() != size) {
        throw new IOException(
            target + ": the file has " + channel.size() + " bytes instead of the planned " + size);
      }
      channel.close();
      Files.move(part, target, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      discardAfter(e);
      throw named("finishing it", e);
    } catch (RuntimeException e) {
      discardAfter(e);
      throw e;
    }
    state = State.COMMITTED;
    forceFolder(target.toAbsolutePath().getParent());
  }

  /// Gives the file up: nothing of it stays. Does nothing after a commit.
  public void discard() throws IOException {
    if (state == State.OPEN) {
      state = State.DISCARDED;
      try (channel) {
        Files.deleteIfExists(part);
      }
    }
  }

  /// Discards the file unless it was committed.
  @Override
  public void close() throws IOException {
    discard();
  }

  private void discardAfter(Exception failure) {
    try {
      discard();
    } catch (IOException e) {
      failure.addSuppressed(e);
    }
  }

  private void requireOpen() {
    if (state != State.OPEN) {
      throw new IllegalStateException(target + " is " + state);
    }
  }

  /// Writes a small file so that it appears whole or not at all, and outlasts a power failure.
  public static void writeWhole(Path target, byte[] content) throws IOException {
    try (AtomicFile file = create(target, content.length)) {
      file.write(0, MemorySegment.ofArray(content));
      file.commit();
    }
  }

  /// Forces a folder's entries to the disk: which files are in it, and under which names.
  ///
  /// On Windows folders cannot be opened; its file system keeps the order of renames itself.
  public static void forceFolder(Path folder) throws IOException {
    if (folder.getFileSystem().getSeparator().equals("\\")) {
      return;
    }
    try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
      channel.force(true);
    }
  }
}
