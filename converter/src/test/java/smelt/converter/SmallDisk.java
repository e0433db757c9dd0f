package smelt.converter;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;

/// A file system of its own in memory, of a given size. Tests that need one are skipped where this
/// user may not mount.
public final class SmallDisk implements AutoCloseable {

  private final Path folder;

  private SmallDisk(Path folder) {
    this.folder = folder;
  }

  /// @param folder where it is mounted; made if need be
  /// @param options such as `size=8m`
  public static SmallDisk mount(Path folder, String options) throws IOException {
    Files.createDirectories(folder);
    boolean mounted =
        Files.exists(Path.of("/bin/mount"))
            && run("mount", "-t", "tmpfs", "-o", options, "none", folder.toString()) == 0;
    assumeTrue(mounted, "this user cannot mount a small disk, so this test is skipped");
    return new SmallDisk(folder);
  }

  public Path path() {
    return folder;
  }

  /// Takes all the room that is left.
  public Path fill() throws IOException {
    Path filler = folder.resolve("filler");
    byte[] block = new byte[4096];
    try (OutputStream out = Files.newOutputStream(filler)) {
      while (true) {
        out.write(block);
      }
    } catch (IOException e) {
      if (!String.valueOf(e.getMessage()).contains("No space left")) {
        throw e;
      }
    }
    return filler;
  }

  private static int run(String... command) throws IOException {
    try {
      return new ProcessBuilder(command)
          .redirectErrorStream(true)
          .redirectOutput(ProcessBuilder.Redirect.DISCARD)
          .start()
          .waitFor();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while running " + command[0], e);
    }
  }

  @Override
  public void close() throws IOException {
    if (run("umount", folder.toString()) != 0) {
      throw new IOException(folder + " cannot be unmounted");
    }
  }
}
