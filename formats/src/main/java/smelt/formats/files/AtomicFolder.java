package smelt.formats.files;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;

/// A folder of files that appears under its name when all of them are complete, and not before.
///
/// Files go to `.NAME.part/` beside the target. [#commit] forces them and their folders to the disk
/// and renames; [#close] without a commit removes them. A killed process leaves the `.part` folder
/// behind, and the next one with the same target removes it. What the target held before goes in
/// the moment before the rename.
///
/// Writes may come from several threads, each file once. No file stays open.
public final class AtomicFolder implements AutoCloseable {

  private enum State {
    OPEN,
    COMMITTED,
    DISCARDED
  }

  private static final int FORCED_AT_ONCE = 16;

  private static final Set<StandardOpenOption> NEW =
      Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);

  private final Path target;
  private final Path part;
  private final Set<Path> folders = ConcurrentHashMap.newKeySet();
  private final Queue<Path> unforced = new ConcurrentLinkedQueue<>();
  private volatile State state = State.OPEN;

  private AtomicFolder(Path target) {
    this.target = target;
    this.part = part(target);
  }

  /// Starts a folder. The one that it lies in must exist.
  public static AtomicFolder create(Path target) throws IOException {
    removePart(target);
    AtomicFolder folder = new AtomicFolder(target);
    Files.createDirectory(folder.part);
    folder.folders.add(folder.part);
    return folder;
  }

  private static Path part(Path target) {
    return target.resolveSibling("." + target.getFileName() + ".part");
  }

  /// Removes what a killed process left of a target, if anything.
  public static void removePart(Path target) throws IOException {
    remove(part(target));
  }

  /// Where the folder will appear.
  public Path target() {
    return target;
  }

  /// Opens a file for reading, whether its folder is complete or still being written. The caller
  /// closes it.
  ///
  /// @param target where the folder is to appear
  /// @param path within the folder, with `/` between folders
  /// @throws NoSuchFileException if it was not written
  public static FileChannel openAsItIs(Path target, String path) throws IOException {
    try {
      return FileChannel.open(part(target).resolve(path), StandardOpenOption.READ);
    } catch (NoSuchFileException _) {
      return FileChannel.open(target.resolve(path), StandardOpenOption.READ);
    }
  }

  /// Writes a whole file, with the folders that it lies in.
  ///
  /// @param path within the folder, with `/` between folders
  /// @param bytes native, or on a `byte[]`
  public void write(String path, MemorySegment bytes) throws IOException {
    requireOpen();
    Path file = part.resolve(path);
    // Noted only when it is there: another thread relies on what is noted.
    for (Path above = file.getParent(); !folders.contains(above); above = above.getParent()) {
      Files.createDirectories(above);
      folders.add(above);
    }
    try (FileChannel channel = FileChannel.open(file, NEW)) {
      long at = 0;
      while (at < bytes.byteSize()) {
        long length = Math.min(AtomicFile.chunk(bytes), bytes.byteSize() - at);
        at += channel.write(bytes.asSlice(at, length).asByteBuffer());
      }
    } catch (IOException e) {
      throw named(file, "writing it", e);
    }
    unforced.add(file);
  }

  /// The system's errors on an open file do not say which file.
  private static IOException named(Path file, String doing, IOException e) {
    return e instanceof FileSystemException
        ? e
        : new IOException(file + ", " + doing + ": " + e.getMessage(), e);
  }

  /// Forces to the disk what was written so far: several files at a time, because a file system
  /// takes those that wait at the same moment together.
  public void force() throws IOException {
    requireOpen();
    if (unforced.isEmpty()) {
      return;
    }
    try (ExecutorService threads =
        Executors.newFixedThreadPool(
            FORCED_AT_ONCE, Thread.ofPlatform().name("smelt-force-", 1).factory())) {
      List<Future<?>> forced = new ArrayList<>();
      for (Path file = unforced.poll(); file != null; file = unforced.poll()) {
        Path one = file;
        forced.add(
            threads.submit(() -> {
              force(one);
              return null;
            }));
      }
      await(forced);
    }
  }

  private static void force(Path file) throws IOException {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
      channel.force(true);
    } catch (IOException e) {
      throw named(file, "forcing it to the disk", e);
    }
  }

  private void await(List<Future<?>> forced) throws IOException {
    try {
      for (Future<?> one : forced) {
        one.get();
      }
    } catch (ExecutionException e) {
      switch (e.getCause()) {
        case IOException cause -> throw cause;
        case RuntimeException cause -> throw cause;
        case Error cause -> throw cause;
        default -> throw new IllegalStateException(e.getCause());
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new InterruptedIOException(target + ": interrupted");
    }
  }

  /// A file that was written, to read it back. The caller closes it.
  public FileChannel open(String path) throws IOException {
    requireOpen();
    return FileChannel.open(part.resolve(path), StandardOpenOption.READ);
  }

  /// Makes the folder appear: forces files and folders to the disk, removes what the target held,
  /// renames, and forces the folder above. When it returns, the folder outlasts a power failure.
  public void commit() throws IOException {
    force();
    for (Path folder : folders) {
      AtomicFile.forceFolder(folder);
    }
    remove(target);
    Files.move(part, target, StandardCopyOption.ATOMIC_MOVE);
    state = State.COMMITTED;
    AtomicFile.forceFolder(target.toAbsolutePath().getParent());
  }

  /// Removes the folder unless it was committed.
  @Override
  public void close() throws IOException {
    if (state == State.OPEN) {
      state = State.DISCARDED;
      remove(part);
    }
  }

  private void requireOpen() {
    if (state != State.OPEN) {
      throw new IllegalStateException(target + " is " + state);
    }
  }

  private static void remove(Path folder) throws IOException {
    if (!Files.exists(folder)) {
      return;
    }
    List<Path> all;
    try (Stream<Path> files = Files.walk(folder)) {
      all = files.sorted(Comparator.reverseOrder()).toList();
    }
    for (Path file : all) {
      Files.deleteIfExists(file);
    }
  }
}
