package smelt.converter.run;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Optional;
import smelt.converter.OutputConflictException;

/// Keeps a second run out of an output folder. The operating system drops the lock when the process
/// ends, however it ends, so a killed run leaves nothing to clear.
///
/// On Unix a process loses its lock on a file as soon as it closes any channel to that file. So the
/// channel that looks at the lock file stays open as long as the one that locked it.
final class FolderLock implements AutoCloseable {

  private static final int ATTEMPTS = 100;
  private static final int LONGEST_OWNER = 100;

  private final FileChannel channel;
  private final FileChannel look;

  private FolderLock(FileChannel channel, FileChannel look) {
    this.channel = channel;
    this.look = look;
  }

  /// Takes the lock.
  ///
  /// @param file the lock file; created if need be
  /// @throws OutputConflictException if another run holds it
  static FolderLock take(Path file) throws IOException {
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
      Files.createDirectories(file.getParent());
      FileChannel channel;
      try {
        channel =
            FileChannel.open(
                file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
      } catch (NoSuchFileException e) {
        continue;
      }
      Optional<FolderLock> lock = take(file, channel);
      if (lock.isPresent()) {
        return lock.get();
      }
    }
    throw new IOException(file + ": the lock is removed as fast as it is taken");
  }

  /// Empty if the lock file was removed meanwhile. Closes the channel unless it holds the lock.
  ///
  /// A run that ends removes the folder with its lock file. Whoever opened that file just before
  /// holds a lock on a file without a name: the owner line tells, because it does not show under
  /// the name.
  private static Optional<FolderLock> take(Path file, FileChannel channel) throws IOException {
    try {
      if (!lock(channel)) {
        throw new OutputConflictException(
            file.getParent().getParent().toString(),
            "another run at work there (" + owner(channel) + ")",
            "a folder that nobody writes to",
            "wait for it to end, or choose another folder");
      }
      String line = "process " + ProcessHandle.current().pid() + ", " + System.nanoTime();
      channel.truncate(0);
      channel.write(ByteBuffer.wrap(line.getBytes(StandardCharsets.UTF_8)), 0);
      FileChannel look = FileChannel.open(file, StandardOpenOption.READ);
      if (text(look).equals(line)) {
        return Optional.of(new FolderLock(channel, look));
      }
      look.close();
    } catch (NoSuchFileException _) {
      // removed: the next attempt makes a new one
    } catch (IOException | RuntimeException e) {
      channel.close();
      throw e;
    }
    channel.close();
    return Optional.empty();
  }

  private static boolean lock(FileChannel channel) throws IOException {
    try {
      FileLock lock = channel.tryLock();
      return lock != null;
    } catch (OverlappingFileLockException e) {
      return false;
    }
  }

  /// Who holds the lock. Whoever took it in this moment has not written its line yet.
  private static String owner(FileChannel channel) throws IOException {
    String line = text(channel);
    int end = line.lastIndexOf(',');
    return end < 0 ? "just begun" : line.substring(0, end);
  }

  private static String text(FileChannel channel) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(LONGEST_OWNER);
    channel.read(bytes, 0);
    return StandardCharsets.UTF_8.decode(bytes.flip()).toString();
  }

  @Override
  public void close() throws IOException {
    try (channel) {
      look.close();
    }
  }
}
