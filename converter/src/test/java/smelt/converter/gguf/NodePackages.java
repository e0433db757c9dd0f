package smelt.converter.gguf;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.concurrent.TimeUnit;
import smelt.formats.Checkout;

/// Packages from the registry of node, installed below `target` on first use, with the versions and
/// digests of a lock file, by one process, and one of its threads, at a time. A test that needs
/// them is skipped, saying why, where they cannot be had.
record NodePackages(Path folder) {

  private static final List<String> OWN = List.of("package.json", "package-lock.json");

  /// @param name of the folder of tests with `package.json`, and of the one below `target`
  /// @param script what will be run there
  static synchronized NodePackages install(String name, String script)
      throws IOException, InterruptedException {
    Path module = Checkout.root().resolve("converter");
    Path folder = Files.createDirectories(module.resolve("target").resolve(name));
    Path from = module.resolve("src/test").resolve(name);
    try (FileChannel turn =
            FileChannel.open(
                folder.resolve("turn"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        FileLock _ = turn.lock()) {
      for (String file : OWN) {
        copy(from, file, folder);
      }
      copy(from, script, folder);
      NodePackages packages = new NodePackages(folder);
      packages.install();
      return packages;
    }
  }

  /// Leaves a file alone that is the same: it may be in use.
  private static void copy(Path from, String file, Path folder) throws IOException {
    Path to = folder.resolve(file);
    if (!Files.exists(to) || Files.mismatch(from.resolve(file), to) >= 0) {
      Files.copy(from.resolve(file), to, StandardCopyOption.REPLACE_EXISTING);
    }
  }

  private void install() throws IOException, InterruptedException {
    Path lock = folder.resolve("package-lock.json");
    Path installed = folder.resolve("installed.json");
    if (Files.exists(installed) && Files.mismatch(lock, installed) < 0) {
      return;
    }
    Path log = folder.resolve("install.log");
    int status;
    try {
      status =
          run(
              List.of(
                  "npm", "ci", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund"),
              Path.of("/dev/null"),
              log,
              log);
    } catch (IOException e) {
      assumeTrue(false, "no npm, so nothing to test with: " + e.getMessage());
      throw e;
    }
    assumeTrue(status == 0, "npm cannot install the packages, see " + log);
    Files.copy(lock, installed, StandardCopyOption.REPLACE_EXISTING);
  }

  int run(List<String> command, Path in, Path out, Path log)
      throws IOException, InterruptedException {
    ProcessBuilder builder = new ProcessBuilder(command).directory(folder.toFile());
    builder.redirectInput(in.toFile()).redirectOutput(out.toFile());
    if (out.equals(log)) {
      builder.redirectErrorStream(true);
    } else {
      builder.redirectError(log.toFile());
    }
    Process process = builder.start();
    if (!process.waitFor(180, TimeUnit.SECONDS)) {
      process.destroyForcibly();
      throw new IOException(command + " did not end in three minutes, see " + log);
    }
    return process.exitValue();
  }
}
