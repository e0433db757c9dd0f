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
import smelt.converter.OutputConflictException;

/// Keeps a second run out of an output folder. The operating system drops the lock when the process
/// ends, however it ends, so a killed run leaves nothing to clear.
final class FolderLock implements AutoCloseable {

  private static final int ATTEMPTS = 100;

  private final FileChannel channel;

  private FolderLock(FileChannel channel) {
    this.channel = channel;
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
      if (!lock(channel)) {
        String owner = owner(file);
        channel.close();
        throw new OutputConflictException(
            file.getParent().getParent().toString(),
            "another run at work there (" + owner + ")",
            "a folder that nobody writes to",
            "wait for it to end, or choose another folder");
      }
      if (isStillThere(file, channel)) {
        return new FolderLock(channel);
      }
      channel.close();
    }
    throw new IOException(file + ": the lock is removed as fast as it is taken");
  }

  private static boolean lock(FileChannel channel) throws IOException {
    try {
      FileLock lock = channel.tryLock();
      return lock != null;
    } catch (OverlappingFileLockException e) {
      return false;
    }
  }

  /// A run that ends removes the folder with its lock file. Whoever opened that file just before
  /// holds a lock on a file without a name: the owner line tells, because it does not show under
  /// the name.
  private static boolean isStillThere(Path file, FileChannel channel) throws IOException {
    String owner = "process " + ProcessHandle.current().pid() + ", " + System.nanoTime();
    channel.truncate(0);
    channel.write(ByteBuffer.wrap(owner.getBytes(StandardCharsets.UTF_8)), 0);
    return owner(file).equals(owner);
  }

  private static String owner(Path file) throws IOException {
    try {
      return Files.readString(file);
    } catch (NoSuchFileException e) {
      return "just ended";
    }
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
