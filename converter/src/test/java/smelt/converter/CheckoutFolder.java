package smelt.converter;

import java.nio.file.Files;
import java.nio.file.Path;

/// Where the checkout lies: the nearest folder above the tests that holds `dev`.
public final class CheckoutFolder {

  private CheckoutFolder() {}

  public static Path root() {
    Path folder = Path.of("").toAbsolutePath();
    while (folder != null && !Files.isRegularFile(folder.resolve("dev"))) {
      folder = folder.getParent();
    }
    if (folder == null) {
      throw new IllegalStateException("no folder above the tests holds dev");
    }
    return folder;
  }
}
