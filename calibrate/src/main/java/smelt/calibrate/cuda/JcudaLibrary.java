package smelt.calibrate.cuda;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import jcuda.driver.JCudaDriver;

/// JCuda's native library, loaded once for the process.
///
/// JCuda copies it from its jar to a fixed name in the temporary folder, and takes what already
/// lies there. So while it does, that folder is a private one, which is removed afterwards: the
/// system keeps what is mapped. Where `java.library.path` has the library, nothing is copied.
final class JcudaLibrary {

  private static final String TEMPORARY = "java.io.tmpdir";

  /// What is loaded into a process stays there, so whether it is can only be known to the process.
  private static boolean loaded;

  private JcudaLibrary() {}

  /// Loads it. The driver's library must be there: JCuda's is linked with it.
  ///
  /// @throws LinkageError if it cannot be loaded
  static synchronized void load() throws IOException {
    if (loaded) {
      return;
    }
    Path folder = Files.createTempDirectory("smelt-jcuda-");
    String before = System.getProperty(TEMPORARY);
    try {
      System.setProperty(TEMPORARY, folder.toString());
      JCudaDriver.setExceptionsEnabled(false);
      loaded = true;
    } finally {
      System.setProperty(TEMPORARY, before);
      remove(folder);
    }
  }

  private static void remove(Path folder) throws IOException {
    try (DirectoryStream<Path> files = Files.newDirectoryStream(folder)) {
      for (Path file : files) {
        Files.delete(file);
      }
    }
    Files.delete(folder);
  }
}
